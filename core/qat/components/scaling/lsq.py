"""Learned steps whose gradient is scaled to grid and tensor (LSQ).

Here the number stored is the step itself, not a threshold: ``int_scaling_impl`` is then
:class:`StepIntScaling`.
"""

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.bit_width import check_bit_width
from qat.components.scaling.base import SCALAR_SHAPE
from qat.components.scaling.from_weight import ParameterFromStatsFromParameterScaling
from qat.components.scaling.runtime import DEFAULT_MOMENTUM, ParameterFromRuntimeStatsScaling
from qat.ops import max_int, min_int, scaled_gradient


class StepIntScaling(nn.Module):
    """Called with the bit width: 1, for a scaling that gives the step and no threshold."""

    def forward(self, bit_width: Tensor) -> Tensor:
        return torch.ones_like(bit_width)


def largest_integer(bit_width: int, signed: bool, narrow_range: bool) -> float:
    """``qmax`` of the grid; ValueError where it is 0, as for one signed bit."""
    check_bit_width(bit_width)
    qmax = float(max_int(signed, narrow_range, torch.tensor(float(bit_width))))
    if qmax < 1:
        raise ValueError(
            f"bit_width is {bit_width}: a learned step needs an integer above 0; use 2 bits or "
            f"more, or signed=False."
        )
    return qmax


class StepStatistic(nn.Module):
    """A statistic that a learned step, or its offset, starts at, with ``qmin`` and ``qmax``.

    Args:
        bit_width, signed, narrow_range: the integer grid.
        stats_reduce_dim: see :mod:`qat.components.stats`.
    Raises:
        ValueError: ``qmax`` is 0, as for one signed bit.
    """

    def __init__(
        self,
        bit_width: int,
        signed: bool,
        narrow_range: bool,
        stats_reduce_dim: Optional[int] = None,
    ) -> None:
        super().__init__()
        self.qmax = largest_integer(bit_width, signed, narrow_range)
        self.qmin = float(min_int(signed, narrow_range, torch.tensor(float(bit_width))))
        self.check_dim(stats_reduce_dim)
        self.stats_reduce_dim = stats_reduce_dim

    def check_dim(self, stats_reduce_dim: Optional[int]) -> None:
        """Raise NotImplementedError where there is no such statistic of rows."""


class LSQStep(StepStatistic):
    """``2 * mean |x| / sqrt(qmax)``: where the learned step starts.

    Source: LSQ, arXiv:1902.08153, section 2.1.
    """

    def forward(self, x: Tensor) -> Tensor:
        factor = 2.0 / self.qmax**0.5
        size = torch.abs(x)
        if self.stats_reduce_dim is None:
            return factor * torch.mean(size)
        return factor * torch.mean(size, dim=self.stats_reduce_dim)


class LSQScalingFromParameter(ParameterFromStatsFromParameterScaling):
    """A learned step of a parameter; its gradient is multiplied by ``1 / sqrt(N * qmax)``.

    Args:
        bit_width, signed, narrow_range: the integer grid, which gives ``qmax``.
        tracked_parameter_list: the parameters; ``N`` is the number of elements per step.
        others: as for :class:`ParameterFromStatsFromParameterScaling`.
    Source: LSQ, arXiv:1902.08153, section 2.2.
    """

    def __init__(
        self,
        bit_width: int,
        signed: bool,
        narrow_range: bool,
        scaling_stats_impl: nn.Module,
        tracked_parameter_list: List[Tensor],
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__(
            scaling_stats_impl,
            tracked_parameter_list,
            scaling_stats_input_view_shape_impl,
            scaling_shape,
            restrict_scaling_impl,
            scaling_min_val,
        )
        elements = sum(parameter.numel() for parameter in tracked_parameter_list)
        per_step = max(elements / max(self.value.numel(), 1), 1.0)
        self.gradient_scale = (per_step * largest_integer(bit_width, signed, narrow_range)) ** -0.5

    def stored(self, x: Tensor) -> Tensor:
        return scaled_gradient(self.value, self.gradient_scale)


class LSQScaling(ParameterFromRuntimeStatsScaling):
    """A learned step of activations; its gradient is multiplied by ``1 / sqrt(N * qmax)``.

    It starts at the average of the first ``collect_stats_steps`` batches (the first one alone in
    the paper).

    Args:
        bit_width, signed, narrow_range: the integer grid, which gives ``qmax``. ``N`` is the number
            of features: the elements of ``x`` per step, without the batch dimension.
        others: as for :class:`ParameterFromRuntimeStatsScaling`.
    Source: LSQ, arXiv:1902.08153, section 2.2.
    """

    def __init__(
        self,
        bit_width: int,
        signed: bool,
        narrow_range: bool,
        collect_stats_steps: int,
        scaling_stats_impl: nn.Module,
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_stats_momentum: Optional[float] = DEFAULT_MOMENTUM,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__(
            collect_stats_steps,
            scaling_stats_impl,
            scaling_stats_input_view_shape_impl,
            scaling_stats_momentum,
            restrict_scaling_impl,
            scaling_shape,
            scaling_min_val,
        )
        self.qmax = largest_integer(bit_width, signed, narrow_range)

    @jit.script_method
    def stretch(self, qmax: float) -> None:
        """Make of a step on a grid up to ``qmax`` one on this grid: ``qmax * step`` stays."""
        with torch.no_grad():
            self.value.mul_(qmax / self.qmax)
            self.buffer.mul_(qmax / self.qmax)

    def stored(self, x: Tensor) -> Tensor:
        features = 1
        for size in x.shape[1:] if x.dim() > 1 else x.shape:
            features *= size
        per_step = max(features / max(self.value.numel(), 1), 1.0)
        step: Tensor = self.value
        if self.training and self.collecting and x.numel() > 0:
            # Compiled code comes here after the statistics as well, and then learns.
            step = self._collect(x)
        return scaled_gradient(step, (per_step * self.qmax) ** -0.5)
