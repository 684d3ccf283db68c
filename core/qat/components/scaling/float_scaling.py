"""Divisors that turn a threshold into the scale of a minifloat."""

from torch import Tensor, nn

from qat.components.stats import widened
from qat.formats import FloatFormat


class FloatScaling(nn.Module):
    """Called with a threshold: divided by the largest number of the format (448 for OCP E4M3).

    Args:
        float_format: the format.
    Returns:
        Shape and dtype of the threshold, computed in float32 at least: in half precision the
        largest number may be none.
    """

    def __init__(self, float_format: FloatFormat) -> None:
        super().__init__()
        self.divisor = float_format.max_value

    def forward(self, threshold: Tensor) -> Tensor:
        return (widened(threshold) / self.divisor).to(threshold.dtype)


class PowerOfTwoFloatScaling(FloatScaling):
    """Called with a threshold: divided by the largest power of two of the format (256 for E4M3).

    With a threshold that is a power of two the scale is one as well. It is the scale of the MX
    formats: elements between this number and the largest saturate.

    Args:
        float_format: the format.
    Source: OCP Microscaling Formats (MX) Specification 1.0, 2023, section 6.3.
    """

    def __init__(self, float_format: FloatFormat) -> None:
        super().__init__(float_format)
        self.divisor = 2.0**float_format.max_exponent
