"""Weight quantization of DoReFa-Net for two bits and more."""

from typing import Tuple

from torch import Tensor

from qat import jit
from qat.components.bit_width import BitWidthConst, check_bit_width
from qat.components.buffers import scalar
from qat.components.delay import DelayWrapper
from qat.components.weight_transforms import TanhNormalize
from qat.ops import floor_scale, round_ste


class DoReFaQuant(jit.ScriptModule):
    """``y = 2 * round(n * (t + 1) / 2) / n - 1`` with ``t = tanh(x) / max |tanh(x)|``.

    Args:
        bit_width: bits ``k`` of a weight, from 2 to 31; ``n = 2**k - 1``.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)``. The ``2**k`` results, from -1 to 1, are the odd
        multiples of ``scale = 1 / n``: as integers without a zero point they take ``k + 1`` bits,
        and that is the bit width given back.
    Raises:
        ValueError: ``bit_width`` outside its range.
    Gradient: that of ``t``, through tanh and maximum; straight through the rounding.
    Source: DoReFa-Net, arXiv:1606.06160, eq. 9.
    """

    def __init__(self, bit_width: int, quant_delay_steps: int = 0) -> None:
        super().__init__()
        check_bit_width(bit_width)
        if not 2 <= bit_width <= 31:
            raise ValueError(
                f"bit_width is {bit_width}; the grid of DoReFa-Net has 2 to 31 bits. For one bit "
                f"use EstimatedBinaryQuant, as DoReFaWeight does."
            )
        self.steps = float(2 ** int(bit_width) - 1)
        self.prepare_impl = TanhNormalize()
        self.scale = scalar(1.0 / self.steps)
        self.zero_point = scalar(0.0)
        self.bit_width = BitWidthConst(int(bit_width) + 1)
        self.delay_wrapper = DelayWrapper(quant_delay_steps)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        t = self.prepare_impl(x)
        scale = floor_scale(self.scale())
        q = round_ste((t + 1.0) * (0.5 * self.steps))
        y = (2.0 * q - self.steps) * scale
        return self.delay_wrapper(x, y), scale, self.zero_point(), self.bit_width()
