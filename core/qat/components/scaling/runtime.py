"""Scales from a running average of statistics: used, or learned from.

Both keep, in the state dict, the running average ``buffer`` of the statistic and the number
``counter`` of tensors seen. The counter decides; ``collecting`` is only a switch that lets a
finished quantizer skip the work, and may stay on too long without changing a result. Eager code
flips it by itself and keeps what it knows of the counter as a plain number, so that no step waits
for a device. Compiled code cannot flip it: there the work goes on, masked, until ``train()`` or
:func:`finish_statistics` flips the switches of the whole model, for one recompilation. A model that
saw no data has a scale of 1.
"""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.one_pass import current_pass
from qat.components.scaling.base import SCALAR_SHAPE, PositiveScale
from qat.components.stats import Stats, widened
from qat.components.views import OverTensorView

DEFAULT_MOMENTUM = 0.1


def _state_of(counter: Tensor) -> Tuple[int, int]:
    # Another tensor, or the same one changed by anybody, has another state.
    return id(counter), -1 if counter.is_inference() else counter._version


class _RunningStats(PositiveScale):
    buffer: Tensor
    counter: Tensor
    collecting: bool
    true_average: bool

    def __init__(
        self,
        scaling_stats_impl: nn.Module,
        view: Optional[nn.Module],
        momentum: Optional[float],
        restrict_scaling_impl: Optional[nn.Module],
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
        self.stats = Stats(scaling_stats_impl, shape)
        self.set_restriction(restrict_scaling_impl, scaling_min_val)
        self.true_average = momentum is None
        self.momentum = 0.0 if momentum is None else float(momentum)
        self.collecting = True
        self.is_stored = False
        self.register_buffer("buffer", torch.ones(shape))
        self.register_buffer("counter", torch.tensor(0, dtype=torch.int64))
        self._seen = 0
        self._seen_in = (0, 0)  # the state of the counter that this was read from: none yet
        self._pass: Any = None  # number, state of the counter, buffer before it, statistic
        self._last: Optional[Tensor] = None  # statistic of the last call in a pass
        self._high: Any = None  # number of a pass, highest number of the intervals in it

    def observe(self, x: Tensor) -> Tensor:
        return self.clamp_scaling(self.stats(self.stats_input_view_shape_impl(x.detach())))

    def average(self, stats: Tensor) -> Tensor:
        """The running average with ``stats`` taken in; the first replaces the initial 1."""
        before, now = widened(self.buffer), widened(stats)
        one = torch.ones_like(before)
        if self.true_average:
            weight = one / (self.counter + 1)
        else:
            weight = torch.where(self.counter == 0, one, self.momentum)
        return torch.lerp(before, now, weight).to(self.buffer.dtype)

    # For eager code only: the same, in place and without a look at a tensor's value.

    def tensors_seen(self) -> int:
        """``counter`` as a number, read from its device only where somebody else changed it."""
        if self._seen_in != _state_of(self.counter) or self._seen_in[1] < 0:
            self._seen = int(self.counter)
            self._seen_in = _state_of(self.counter)
        return self._seen

    def _is_further_call(self) -> bool:
        """Whether the forward pass that is running has called this already."""
        known, number = self._pass, current_pass()
        return number != 0 and known is not None and known[:2] == (number, self._seen_in)

    def average_in_place(self, stats: Tensor) -> None:
        """Take ``stats`` into ``buffer``, and count it.

        In a further call of one forward pass, the largest of its statistics is what was taken in.
        """
        stats = stats.to(self.buffer.dtype)
        seen, number = self.tensors_seen(), current_pass()
        if number != 0:
            self._last = stats
            if self._is_further_call():
                before, largest = self._pass[2:]
                stats = torch.where(stats.abs() > largest.abs(), stats, largest)
                self.buffer.copy_(before)
                seen -= 1
            else:
                before = self.buffer.clone()
        weight = 1.0 / (seen + 1) if self.true_average else self.momentum
        self.buffer.lerp_(stats, 1.0 if seen == 0 else weight)
        if seen == self._seen:
            self.counter.add_(1)
        self._seen = seen + 1
        self._seen_in = _state_of(self.counter)
        self._pass = None if number == 0 else (number, self._seen_in, before, stats)

    def hold_both_ends(self, lowest: "_RunningStats") -> None:
        """Hold what the calls of a forward pass reach at either end, not the widest of them.

        To be called after ``lowest`` has seen the same tensor as this. This one's statistic is the
        width of an interval, that of ``lowest`` where it begins.
        """
        width, low, number = self._last, lowest._last, current_pass()
        self._last = lowest._last = None
        if width is None or low is None or number == 0:
            return
        with torch.no_grad():
            high = width + low
            if self._high is not None and self._high[0] == number:
                high = torch.maximum(high, self._high[1])
                self.average_in_place(high - lowest._pass[3])
                self._last = None
                if isinstance(self, ParameterFromRuntimeStatsScaling):
                    self.value.copy_(self.restrict_preprocess(self.buffer))
            self._high = number, high

    def take_statistics(self, x: Tensor) -> None:
        """What calibration needs of a call: the average, and no scale.

        A learned value follows in :func:`qat.components.scaling.finish_collecting`.
        """
        if self.training and self.collecting and x.numel() > 0:
            with torch.no_grad():
                self.average_in_place(self.observe(x))


#: The name for other files; the class has the one that a printed quantizer is known by.
RunningStats = _RunningStats


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
        super().__init__(
            scaling_stats_impl,
            scaling_stats_input_view_shape_impl,
            scaling_stats_momentum,
            restrict_scaling_impl,
            scaling_shape,
            scaling_min_val,
        )
        self.restrict_preprocess = self.preprocess()

    def stored(self, x: Tensor) -> Tensor:
        threshold = self.buffer
        if self.training and self.collecting and x.numel() > 0:
            threshold = self.observe(x).to(self.buffer.dtype)
            with torch.no_grad():
                self._take_in(threshold)
        return self.restrict_preprocess(threshold)

    def _take_in(self, stats: Tensor) -> None:
        if jit.is_scripting():
            self.buffer.copy_(self.average(stats))
            self.counter.add_(1)
        elif torch.compiler.is_compiling():
            self.buffer.copy_(self.average(stats))
            self.counter.add_(1)
        else:
            self.average_in_place(stats)


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
        super().__init__(
            scaling_stats_impl,
            scaling_stats_input_view_shape_impl,
            scaling_stats_momentum,
            restrict_scaling_impl,
            scaling_shape,
            scaling_min_val,
        )
        self.collect_stats_steps = collect_stats_steps
        self.restrict_inplace_preprocess = self.preprocess()
        self.restrict_preprocess = self.preprocess()
        self.value = nn.Parameter(self.restrict_preprocess(torch.ones(scaling_shape)))

    def stored(self, x: Tensor) -> Tensor:
        if self.training and self.collecting and x.numel() > 0:
            return self._collect(x)
        return self.value

    def train(self, mode: bool = True) -> "ParameterFromRuntimeStatsScaling":
        """As for any module; entering training also sets the switch by the counter."""
        super().train(mode)
        if mode and not self.counter.is_meta:
            self.collecting = self.is_unfinished()
        return self

    def is_unfinished(self) -> bool:
        """Whether the next forward pass takes statistics."""
        return self.tensors_seen() < self.collect_stats_steps

    def _collect(self, x: Tensor) -> Tensor:
        if jit.is_scripting():
            stored = self._collect_masked(x)
            self.collecting = bool(self.counter < self.collect_stats_steps)
            return stored
        elif torch.compiler.is_compiling():
            return self._collect_masked(x)
        else:
            return self._collect_eagerly(x)

    def _collect_masked(self, x: Tensor) -> Tensor:
        active = self.counter < self.collect_stats_steps
        stats = self.observe(x).to(self.value.dtype)
        stored = torch.where(active, self.restrict_inplace_preprocess(stats), self.value)
        with torch.no_grad():
            averaged = self.average(stats)
            self.buffer.copy_(torch.where(active, averaged, self.buffer))
            learned = torch.where(active, self.restrict_preprocess(averaged), self.value)
            self.value.copy_(learned)
            self.counter.add_(active.to(self.counter.dtype))
        return stored

    def _collect_eagerly(self, x: Tensor) -> Tensor:
        further = self._is_further_call()
        left = self.collect_stats_steps - self.tensors_seen() + further
        if left <= 0:  # the pass before was the last, or a finished scale was loaded
            self.collecting = False
            return self.value
        active = self.counter < self.collect_stats_steps + further
        stats = self.observe(x).to(self.value.dtype)
        # The parameter takes part, with a gradient of zero: distributed training waits for each.
        stored = torch.where(active, self.restrict_inplace_preprocess(stats), self.value)
        with torch.no_grad():
            self.average_in_place(stats)
            self.value.copy_(self.restrict_preprocess(self.buffer))
        self.collecting = left > 1 or current_pass() != 0
        return stored
