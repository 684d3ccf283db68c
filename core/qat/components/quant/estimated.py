"""Binary quantization with a gradient chosen by name."""

from typing import Optional, Tuple, Union

from torch import Tensor, nn

from qat import jit
from qat.components.bit_width import BitWidthConst
from qat.components.buffers import scalar
from qat.components.delay import DelayWrapper
from qat.components.scaling.base import check_positive
from qat.components.sharpness import ProgressiveSharpness
from qat.enums import SignGradient, lookup
from qat.ops import estimated_binary_quantize, floor_scale
from qat.ops.estimators import SIGN_GRADIENTS


class EstimatedBinaryQuant(jit.ScriptModule):
    """``y = sign(v) * scale`` of ``v = prepare(x)``; gradient to ``v`` by name.

    Args:
        scaling_impl: called with ``v``, gives the scale. One that is learned gets the summed signs
            as its gradient; one that follows from ``v`` is a constant to the gradient.
        sign_gradient_type: :class:`qat.enums.SignGradient` or its name; the formulas are those of
            :func:`qat.ops.estimated_binary_quantize`. ``"ede"`` sharpens over the training, see
            :func:`qat.components.set_progress`.
        prepare_impl: applied to ``x`` in front, with its gradient; nothing unless given.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0 and bit width 1.
    Raises:
        ValueError: no gradient of that name.
    """

    def __init__(
        self,
        scaling_impl: nn.Module,
        sign_gradient_type: Union[SignGradient, str],
        prepare_impl: Optional[nn.Module] = None,
        quant_delay_steps: int = 0,
    ) -> None:
        super().__init__()
        lookup(SIGN_GRADIENTS, sign_gradient_type, "sign_gradient_type")
        self.gradient = str(SignGradient(sign_gradient_type))
        is_progressive = self.gradient == str(SignGradient.EDE)
        self.sharpness_impl = ProgressiveSharpness() if is_progressive else scalar(1.0)
        check_positive(scaling_impl, self)
        self.scaling_impl = scaling_impl
        self.learns_scale = any(True for _ in scaling_impl.parameters())
        self.prepare_impl = nn.Identity() if prepare_impl is None else prepare_impl
        self.bit_width = BitWidthConst(1)
        self.zero_point = scalar(0.0)
        self.delay_wrapper = DelayWrapper(quant_delay_steps)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        v = self.prepare_impl(x)
        scale = floor_scale(self.scaling_impl(v.detach()))
        if not self.learns_scale:
            scale = scale.detach()
        y = estimated_binary_quantize(v, scale, self.gradient, self.sharpness_impl())
        return self.delay_wrapper(x, y), scale, self.zero_point(), self.bit_width()
