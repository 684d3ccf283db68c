"""Zero points independent of the tensor: 0, or a learned parameter."""

from typing import Any, Optional, Tuple, Union

from torch import Tensor, nn

from qat.components.buffers import scalar
from qat.components.scaling.base import initial_value
from qat.components.zero_point.base import from_lowest
from qat.ops import abs_binary_sign_grad


class ZeroZeroPoint(nn.Module):
    """Zero point of a symmetric quantizer; called ``(x, scale, bit_width)``, returns 0.0."""

    def __init__(self) -> None:
        super().__init__()
        self.zero_point = scalar(0.0)
        self.is_stored = True

    def forward(self, x: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        return self.zero_point()


class ParameterZeroPoint(nn.Module):
    """Learned zero point ``qmin + |value| / scale``: the grid begins at ``-|value|``.

    Args:
        zero_point_init: initial ``value``, a real number in units of the tensor, or a tensor.
        int_quant: the arithmetic on the grid.
        quantize_zero_point: whether the zero point is an integer of the grid, or real.
        zero_point_shape: of the parameter ``value``; that of ``zero_point_init`` unless given.
    Raises:
        ValueError: ``zero_point_init`` does not fit ``zero_point_shape``; ``int_quant`` has a
            narrow range.
    Gradient: straight through rounding and bounds; through the absolute value, ``sign(value)``
    with ``sign(0) = 1``.
    Source: Bhalgat et al. 2020, LSQ+, arXiv:2004.09576, eq. 4 to 6, with ``beta = -|value|``.
    """

    def __init__(
        self,
        zero_point_init: Union[float, Tensor],
        int_quant: Any,
        quantize_zero_point: bool = True,
        zero_point_shape: Optional[Tuple[int, ...]] = None,
    ) -> None:
        super().__init__()
        self.from_lowest = from_lowest(int_quant, quantize_zero_point)
        self.value = nn.Parameter(initial_value(zero_point_init, zero_point_shape, "zero_point"))
        self.is_stored = True

    def forward(self, x: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        return self.from_lowest(abs_binary_sign_grad(self.value), scale, bit_width)
