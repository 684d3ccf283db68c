"""Scales from statistics of the tensors that pass by: their running average, or learned from it.

Both keep, in the state dict, the running average ``buffer`` of the statistic and the number
``counter`` of tensors seen. The counter decides; ``collecting`` is only a switch that lets a
finished quantizer skip the work, and may stay on too long without changing a result (compiled code
cannot flip it). A model that saw no data has a scale of 1.
"""

from typing import Any, Dict, Optional, Tuple

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.shape import OverTensorView
from qat.components.stats import _Stats

from .base import SCALAR_SHAPE, _PositiveScale, restriction

DEFAULT_MOMENTUM = 0.1


class _RunningStats(_PositiveScale):
    buffer: Tensor
    counter: Tensor
    collecting: bool
    true_average: bool

    def __init__(
        self,
        scaling_stats_impl: nn.Module,
        view: Optional[nn.Module],
        momentum: Optional[float],
        restrict: nn.Module,
        shape: Tuple[int, ...],
        scaling_min_val: Optional[float],
    ) -> None:
        super().__init__()
        if momentum is not None and not 0.0 < momentum <= 1.0:
            raise ValueError(
                f"scaling_stats_momentum is {momentum}; it must be above 0 and at most 1, "
                f"or None for the true average."
            )
        self.stats_input_view_shape_impl = OverTensorView() if view is None else view
        self.stats = _Stats(scaling_stats_impl, shape)
        self.set_restriction(restrict, scaling_min_val)
        self.true_average = momentum is None
        self.momentum = 0.0 if momentum is None else float(momentum)
        self.collecting = True
        self.register_buffer("buffer", torch.ones(shape))
        self.register_buffer("counter", torch.tensor(0, dtype=torch.int64))

    def observe(self, x: Tensor) -> Tensor:
        return self.clamp_scaling(self.stats(self.stats_input_view_shape_impl(x.detach())))

    def average(self, stats: Tensor) -> Tensor:
        """The running average with ``stats`` taken in; the first replaces the initial 1."""
        if self.true_average:
            weight = 1.0 / (self.counter + 1).to(stats.dtype)
        else:
            weight = torch.where(self.counter == 0, 1.0, self.momentum).to(stats.dtype)
        return self.buffer + weight * (stats.to(self.buffer.dtype) - self.buffer)


class RuntimeStatsScaling(_RunningStats):
    """Scale of the tensor at hand while training; of the running average in evaluation.

    Args:
        scaling_stats_impl: statistic, see :mod:`qat.components.stats`.
        scaling_stats_input_view_shape_impl: view it is taken over; the whole tensor unless given.
        scaling_stats_momentum: weight of a new statistic in the running average, above 0 and at
            most 1; None for the true average.
        restrict_scaling_impl, scaling_shape, scaling_min_val: as for ``ParameterScaling``.
    Gradient: none to the tensor through its statistic.
    """

    def __init__(
        self,
        scaling_stats_impl: nn.Module,
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_stats_momentum: Optional[float] = DEFAULT_MOMENTUM,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        restrict = restriction(restrict_scaling_impl)
        super().__init__(
            scaling_stats_impl,
            scaling_stats_input_view_shape_impl,
            scaling_stats_momentum,
            restrict,
            scaling_shape,
            scaling_min_val,
        )
        self.restrict_preprocess = restrict.preprocess()  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        threshold = self.buffer
        if self.training and self.collecting and x.numel() > 0:
            threshold = self.observe(x)
            with torch.no_grad():
                self.buffer.copy_(self.average(threshold))
                self.counter.add_(1)
        return self.restricted(self.restrict_preprocess(threshold))


class ParameterFromRuntimeStatsScaling(_RunningStats):
    """A scale learned from the statistics of the first tensors on.

    For the first ``collect_stats_steps`` training calls the scale is the statistic of the tensor at
    hand, and the parameter ``value`` follows the running average. After that, and in evaluation, it
    is ``|restrict(value)|``, learned as in ``ParameterScaling``.

    Args:
        collect_stats_steps: training calls that statistics are taken for, at least 1.
        scaling_stats_impl: statistic, see :mod:`qat.components.stats`.
        scaling_stats_input_view_shape_impl: view it is taken over; the whole tensor unless given.
        scaling_stats_momentum: weight of a new statistic in the running average, above 0 and at
            most 1; None for the true average.
        restrict_scaling_impl, scaling_shape, scaling_min_val: as for ``ParameterScaling``.
    Raises:
        ValueError: ``collect_stats_steps`` below 1, or a momentum outside its range.
    """

    collect_stats_steps: int

    def __init__(
        self,
        collect_stats_steps: int,
        scaling_stats_impl: nn.Module,
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_stats_momentum: Optional[float] = DEFAULT_MOMENTUM,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        if collect_stats_steps < 1:
            raise ValueError(
                f"collect_stats_steps is {collect_stats_steps}; it must be at least 1."
            )
        restrict = restriction(restrict_scaling_impl)
        super().__init__(
            scaling_stats_impl,
            scaling_stats_input_view_shape_impl,
            scaling_stats_momentum,
            restrict,
            scaling_shape,
            scaling_min_val,
        )
        self.collect_stats_steps = collect_stats_steps
        self.restrict_inplace_preprocess = restrict.preprocess()  # type: ignore[operator]
        self.restrict_preprocess = restrict.preprocess()  # type: ignore[operator]
        self.value = nn.Parameter(self.restrict_preprocess(torch.ones(scaling_shape)))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.collecting and x.numel() > 0:
            return self.restricted(self._collect(x))
        return self.restricted(self.value)

    def _collect(self, x: Tensor) -> Tensor:
        active = self.counter < self.collect_stats_steps
        stats = self.observe(x).to(self.value.dtype)
        stored = torch.where(active, self.restrict_inplace_preprocess(stats), self.value)
        with torch.no_grad():
            averaged = self.average(stats)
            self.buffer.copy_(torch.where(active, averaged, self.buffer))
            learned = torch.where(active, self.restrict_preprocess(averaged), self.value)
            self.value.copy_(learned)
            self.counter.add_(active.to(self.counter.dtype))
        self._finish_when_done()
        return stored

    def _finish_when_done(self) -> None:
        if jit.is_scripting():
            self.collecting = bool(self.counter < self.collect_stats_steps)
        elif not torch.compiler.is_compiling():
            self.collecting = bool(self.counter < self.collect_stats_steps)


#: Training calls that no run reaches: collect for as long as the caller wishes.
_WITHOUT_END = 2**62
_SETTINGS = ("collect_stats_steps", "true_average", "collecting")


def collects_statistics(module: nn.Module) -> bool:
    """Whether ``module``, scripted or not, is a scaling that keeps a running average."""
    return hasattr(module, "true_average") and hasattr(module, "counter")


def start_collecting(module: Any) -> Dict[str, Any]:
    """Forget what was collected and average truly until :func:`finish_collecting`.

    Returns:
        The settings to hand to ``finish_collecting``.
    """
    before = {name: getattr(module, name) for name in _SETTINGS if hasattr(module, name)}
    module.true_average = True
    module.collecting = True
    if "collect_stats_steps" in before:
        module.collect_stats_steps = _WITHOUT_END
    module.counter.zero_()
    return before


def finish_collecting(module: Any, before: Dict[str, Any]) -> None:
    """Put the settings back; where anything was seen, the statistics phase is over."""
    for name, setting in before.items():
        setattr(module, name, setting)
    if int(module.counter) > 0 and "collect_stats_steps" in before:
        module.counter.fill_(module.collect_stats_steps)
        module.collecting = False
