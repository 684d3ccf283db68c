"""Ternary quantization with a threshold and a scale for either side."""

from typing import Tuple

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.bit_width import BitWidthConst
from qat.components.buffers import scalar
from qat.components.delay import DelayWrapper
from qat.ops import floor_scale, two_sided_ternary_quantize


class TwoSidedTernaryQuant(jit.ScriptModule):
    """``y = p`` where ``x > d``, ``-n`` where ``x < -d``, else 0.

    Args:
        threshold_impl: called with ``x``, gives the threshold ``d``.
        scaling_impl: called with ``x`` and ``d``, gives the scales ``p`` and ``n``.
        scaled_gradient: whether the gradient to ``x`` is multiplied by the scale of its side.
        quant_delay_steps: training calls before quantization starts.
    Returns:
        ``(y, scale, zero_point, bit_width)`` with zero point 0 and bit width 2. The scale is that
        of each element, ``p`` where ``x`` is positive and ``n`` elsewhere, where the two differ.
    Gradient: see :func:`qat.ops.two_sided_ternary_quantize`; threshold and scales that follow from
    ``x`` are constants to it.
    """

    def __init__(
        self,
        threshold_impl: nn.Module,
        scaling_impl: nn.Module,
        scaled_gradient: bool,
        quant_delay_steps: int = 0,
    ) -> None:
        super().__init__()
        self.threshold_impl = threshold_impl
        self.scaling_impl = scaling_impl
        self.scaled_gradient = scaled_gradient
        self.has_two_scales: bool = scaling_impl.has_two_scales  # type: ignore[assignment]
        self.bit_width = BitWidthConst(2)
        self.zero_point = scalar(0.0)
        self.delay_wrapper = DelayWrapper(quant_delay_steps)

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        known = x.detach()
        threshold = self.threshold_impl(known)
        scales = self.scaling_impl(known, threshold)
        positive, negative = floor_scale(scales[0]), floor_scale(scales[1])
        y = two_sided_ternary_quantize(x, threshold, positive, negative, self.scaled_gradient)
        scale = positive
        if self.has_two_scales:
            scale = torch.where(known > 0, positive, negative)
        return self.delay_wrapper(x, y), scale, self.zero_point(), self.bit_width()
