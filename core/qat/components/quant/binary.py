"""Binary quantization: ``y = sign(x) * scale`` with ``sign(0) = 1``."""

from typing import Optional, Tuple

from torch import Tensor, nn

from qat import jit
from qat.components.bit_width import BitWidthConst
from qat.components.clamp import TensorClamp
from qat.components.delay import DelayWrapper
from qat.components.stateless import scalar
from qat.ops import binary_sign_ste, floor_scale


class BinaryQuant(jit.ScriptModule):
    """``y = sign(x) * scale``; gradient to ``x``: that of the identity times ``scale``.

    Args:
        scaling_impl: called with ``x``, gives the scale.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0 and bit width 1.

    >>> import torch; from qat.components import ConstScaling
    >>> BinaryQuant(ConstScaling(0.1))(torch.tensor([0.04, -0.6, 3.3]))[0]
    tensor([ 0.1000, -0.1000,  0.1000])
    """

    def __init__(self, scaling_impl: nn.Module, quant_delay_steps: int = 0) -> None:
        super().__init__()
        self.scaling_impl = scaling_impl
        self.bit_width = BitWidthConst(1)
        self.zero_point = scalar(0.0)
        self.delay_wrapper = DelayWrapper(quant_delay_steps)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        scale = floor_scale(self.scaling_impl(x))
        y = binary_sign_ste(x) * scale
        y = self.delay_wrapper(x, y)
        return y, scale, self.zero_point(), self.bit_width()


class ClampedBinaryQuant(jit.ScriptModule):
    """``y = sign(x) * scale``; the gradient to ``x`` is zero where ``|x| > scale``.

    Args:
        scaling_impl: called with ``x``, gives the scale.
        tensor_clamp_impl: clamps ``x`` to ``[-scale, scale]`` in front of the sign, and so sets the
            gradient; ``TensorClamp()`` unless given.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0 and bit width 1.
    Source: Hubara et al. 2016, arXiv:1602.02830, eq. 4.
    """

    def __init__(
        self,
        scaling_impl: nn.Module,
        tensor_clamp_impl: Optional[nn.Module] = None,
        quant_delay_steps: int = 0,
    ) -> None:
        super().__init__()
        self.scaling_impl = scaling_impl
        self.bit_width = BitWidthConst(1)
        self.zero_point = scalar(0.0)
        self.delay_wrapper = DelayWrapper(quant_delay_steps)
        self.tensor_clamp_impl = TensorClamp() if tensor_clamp_impl is None else tensor_clamp_impl

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        scale = floor_scale(self.scaling_impl(x))
        y = binary_sign_ste(self.tensor_clamp_impl(x, -scale, scale)) * scale
        y = self.delay_wrapper(x, y)
        return y, scale, self.zero_point(), self.bit_width()
