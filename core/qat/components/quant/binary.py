"""Binary quantization: ``y = sign(x) * scale`` with ``sign(0) = 1``."""

from functools import partial
from typing import Optional, Tuple

from torch import Tensor, nn

from qat import jit
from qat.components import fast_path
from qat.components.bit_width import BitWidthConst
from qat.components.buffers import scalar
from qat.components.clamp import TensorClamp, TensorClampSte
from qat.components.delay import DelayWrapper
from qat.components.scaling.base import check_positive
from qat.ops import (
    NO_BOUNDS,
    Bounds,
    activated,
    arithmetic_dtype,
    binary_fake_quantize,
    binary_sign_ste,
    floor_scale,
    result_dtype,
)


class BinaryQuant(jit.ScriptModule):
    """``y = sign(x) * scale``; gradient to ``x``: that of the identity times ``scale``.

    Args:
        scaling_impl: called with ``x``, gives the scale.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0 and bit width 1.

    Without a delay the value is one op, :func:`qat.ops.binary_fake_quantize`. ``bounds`` are
    those of an activation function in front; the scale is then found from ``observed``.

    >>> import torch; from qat.components import ConstScaling
    >>> BinaryQuant(ConstScaling(0.1))(torch.tensor([0.04, -0.6, 3.3]))[0]
    tensor([ 0.1000, -0.1000,  0.1000])
    """

    def __init__(self, scaling_impl: nn.Module, quant_delay_steps: int = 0) -> None:
        super().__init__()
        check_positive(scaling_impl, self)
        self.scaling_impl = scaling_impl
        self.bit_width = BitWidthConst(1)
        self.zero_point = scalar(0.0)
        self.delay_wrapper = DelayWrapper(quant_delay_steps)
        self.clipped = False
        self.fused = self.fuses_activation = not self.delay_wrapper.waits

    def _found(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Scale, zero point and bit width."""
        return floor_scale(self.scaling_impl(x)), self.zero_point(), self.bit_width()

    def forward(
        self,
        x: Tensor,
        bounds: Bounds = NO_BOUNDS,
        observed: Optional[Tensor] = None,
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        observed = x if observed is None else observed
        if jit.is_scripting():
            scale, zero_point, bit_width = self._found(observed)
        else:
            scale, zero_point, bit_width = fast_path.remembered(
                self, self.scaling_impl, partial(self._found, observed)
            )
        if self.fused:
            y = binary_fake_quantize(x, scale, self.clipped, bounds)
        else:
            x = activated(x, bounds)
            wide = x.to(arithmetic_dtype(x, scale))
            y = self.delay_wrapper(x, self._composed(wide, scale).to(result_dtype(x, scale)))
        return y, scale, zero_point, bit_width

    def _composed(self, x: Tensor, scale: Tensor) -> Tensor:
        return binary_sign_ste(x) * scale


class ClampedBinaryQuant(BinaryQuant):
    """``y = sign(x) * scale``; the gradient to ``x`` is zero where ``|x| > scale``.

    Args:
        scaling_impl: called with ``x``, gives the scale.
        tensor_clamp_impl: clamps ``x`` to ``[-scale, scale]`` in front of the sign, and so sets the
            gradient; ``TensorClamp()`` unless given.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0 and bit width 1.

    Without a delay, and with ``TensorClamp`` or ``TensorClampSte``, the value is one op;
    ``bounds`` and ``observed`` as for :class:`BinaryQuant`.

    Source: Hubara et al. 2016, arXiv:1602.02830, eq. 4.
    """

    def __init__(
        self,
        scaling_impl: nn.Module,
        tensor_clamp_impl: Optional[nn.Module] = None,
        quant_delay_steps: int = 0,
    ) -> None:
        super().__init__(scaling_impl, quant_delay_steps)
        self.tensor_clamp_impl = TensorClamp() if tensor_clamp_impl is None else tensor_clamp_impl
        clamp = type(self.tensor_clamp_impl)
        self.clipped = clamp is TensorClamp
        is_standard = clamp in (TensorClamp, TensorClampSte)
        self.fused = self.fuses_activation = is_standard and not self.delay_wrapper.waits

    def _composed(self, x: Tensor, scale: Tensor) -> Tensor:
        return binary_sign_ste(self.tensor_clamp_impl(x, -scale, scale)) * scale
