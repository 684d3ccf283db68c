"""Learned step and offset of activations, from their best fit on (LSQ+).

The two belong together: the offset is in units of the input, and the zero point follows from both.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor

from qat.components.scaling.lsq import LSQScaling, StepStatistic
from qat.components.scaling.runtime import DEFAULT_MOMENTUM
from qat.components.stats import widened
from qat.ops import max_int, min_int, round_ste, smallest_normal, tensor_clamp_ste


def fitted_grid(
    x: Tensor, qmin: float, qmax: float, sample: int = 65536, iterations: int = 20
) -> Tuple[Tensor, Tensor]:
    """Step ``s`` and offset ``b`` of a small ``sum (x - s q - b)**2``, for the nearest ``q``.

    Starts at the range of ``x`` and of 0; then integers and grid are improved in turn, the grid by
    linear regression on the integers. No step makes the error larger.

    Args:
        x: float ``[elements]``, not empty.
        qmin, qmax: the integers there are.
        sample: from twice as many elements on, only some are looked at, evenly spread.
        iterations: how often both are improved.
    Returns:
        Step and offset, 0-dimensional, in the dtype of ``x``; without gradient.
    """
    v = widened(x.detach())
    v = v[:: max(v.numel() // sample, 1)]
    zero = torch.zeros_like(v[0])
    low, high = torch.minimum(torch.min(v), zero), torch.maximum(torch.max(v), zero)
    step = torch.clamp((high - low) / (qmax - qmin), min=smallest_normal(x))
    offset = low - qmin * step
    mean = torch.mean(v)
    for _ in range(iterations):
        q = torch.clamp(torch.round((v - offset) / step), qmin, qmax)
        mean_q = torch.mean(q)
        variance = torch.mean(torch.square(q - mean_q))
        slope = torch.mean((q - mean_q) * (v - mean)) / variance
        improves = torch.logical_and(variance > 0, slope > 0)
        step = torch.where(improves, slope, step)
        offset = torch.where(improves, mean - step * mean_q, offset)
    return step.to(x.dtype), offset.to(x.dtype)


class _Fit(StepStatistic):
    def check_dim(self, stats_reduce_dim: Optional[int]) -> None:
        if stats_reduce_dim is not None:
            raise NotImplementedError(
                "LSQ+ with a step per channel: step and offset are fitted to the whole tensor; set "
                "scaling_per_output_type to 'tensor'."
            )


class LSQPlusStep(_Fit):
    """The step of the least squared error, with any offset: where the learned step starts.

    Args:
        bit_width, signed, narrow_range: the integer grid.
        stats_reduce_dim: None; there is one step for the tensor.
    Raises:
        NotImplementedError: a step per row is asked for.
    Source: LSQ+, arXiv:2004.09576, section 3.2.
    """

    def forward(self, x: Tensor) -> Tensor:
        return fitted_grid(x, self.qmin, self.qmax)[0]


class _Offset(_Fit):
    def forward(self, x: Tensor) -> Tensor:
        return fitted_grid(x, self.qmin, self.qmax)[1]


class LSQPlusZeroPoint(LSQScaling):
    """``z = clamp(round(-b / scale), qmin, qmax)`` for a learned offset ``b``.

    Called ``(x, scale, bit_width)``. The offset, the parameter ``value``, starts at that of the
    least squared error, averaged over the first ``collect_stats_steps`` batches; at 0 where none
    was seen.

    Args:
        bit_width, signed, narrow_range: the integer grid.
        collect_stats_steps, scaling_stats_momentum: as for the scale.
    Gradient: to ``b`` and ``scale`` that of ``-b / scale``, through rounding and clamp; to ``b``
    times ``1 / sqrt(N * qmax)`` as the step's.
    Source: LSQ+, arXiv:2004.09576, section 3.2.
    """

    def __init__(
        self,
        bit_width: int,
        signed: bool,
        narrow_range: bool,
        collect_stats_steps: int,
        scaling_stats_momentum: Optional[float] = DEFAULT_MOMENTUM,
    ) -> None:
        super().__init__(
            bit_width,
            signed,
            narrow_range,
            collect_stats_steps,
            _Offset(bit_width, signed, narrow_range),
            scaling_stats_momentum=scaling_stats_momentum,
        )
        self.signed = signed
        self.narrow_range = narrow_range
        with torch.no_grad():
            self.value.zero_()
            self.buffer.zero_()

    def forward(  # type: ignore[override]
        self, x: Tensor, scale: Tensor, bit_width: Tensor
    ) -> Tensor:
        offset = self.stored(x)
        exact = -widened(offset) / widened(scale)  # the gradient to a float16 scale overflows
        qmin = min_int(self.signed, self.narrow_range, bit_width)
        qmax = max_int(self.signed, self.narrow_range, bit_width)
        rounded = tensor_clamp_ste(round_ste(exact), qmin.to(exact.dtype), qmax.to(exact.dtype))
        return rounded.to(offset.dtype)
