"""Zero points from the lowest number of the tensors that pass by."""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn

from qat.components.scaling.runtime import DEFAULT_MOMENTUM, ParameterFromRuntimeStatsScaling
from qat.components.zero_point.base import from_lowest
from qat.ops import abs_binary_sign_grad


class ParameterFromRuntimeZeroPoint(ParameterFromRuntimeStatsScaling):
    """A zero point learned from the statistics of the first tensors on.

    For the first ``collect_stats_steps`` training calls it follows from the statistic of the tensor
    at hand, and the parameter ``value`` follows the running average. After that, and in evaluation,
    it is ``qmin + |value| / scale``, learned as in ``ParameterZeroPoint``. One that saw no data is
    that of 0. The phase is the same, in its state too, as that of the learned scale, of which this
    is a descendant for that reason.

    Args:
        collect_stats_steps: training calls that statistics are taken for, at least 1.
        int_quant: the arithmetic on the grid.
        quantize_zero_point: whether the zero point is an integer of the grid, or real.
        zero_point_stats_impl: gives the lowest number that the grid shall hold, at most 0.
        zero_point_shape: shape of the parameter ``value``.
        zero_point_stats_input_view_shape_impl: view the statistic is taken over; the whole tensor
            unless given.
        zero_point_stats_momentum: weight of a new statistic in the running average, above 0 and at
            most 1; None for the true average.
    Raises:
        ValueError: ``collect_stats_steps`` below 1, a momentum outside its range, a narrow range.
    Gradient: as of ``ParameterZeroPoint``; none to the tensor through its statistic.
    """

    def __init__(
        self,
        collect_stats_steps: int,
        int_quant: Any,
        quantize_zero_point: bool,
        zero_point_stats_impl: nn.Module,
        zero_point_shape: Tuple[int, ...] = (),
        zero_point_stats_input_view_shape_impl: Optional[nn.Module] = None,
        zero_point_stats_momentum: Optional[float] = DEFAULT_MOMENTUM,
    ) -> None:
        super().__init__(
            collect_stats_steps,
            zero_point_stats_impl,
            zero_point_stats_input_view_shape_impl,
            zero_point_stats_momentum,
            None,
            zero_point_shape,
        )
        self.from_lowest = from_lowest(int_quant, quantize_zero_point)
        self.buffer.zero_()
        with torch.no_grad():
            self.value.zero_()

    def forward(  # type: ignore[override]
        self, x: Tensor, scale: Tensor, bit_width: Tensor
    ) -> Tensor:
        return self.from_lowest(abs_binary_sign_grad(self.stored(x)), scale, bit_width)


class RuntimeDynamicZeroPoint(nn.Module):
    """Zero point of the tensor at hand, in training and in evaluation; in the shape of the scale.

    That of an empty tensor is that of 0.

    Args:
        int_quant: the arithmetic on the grid.
        quantize_zero_point: whether the zero point is an integer of the grid, or real.
        zero_point_stats_input_view_shape_impl: view the statistic is taken over, with one row for
            each entry of the scale.
        zero_point_stats_impl: gives the lowest number that the grid shall hold, at most 0.
    Raises:
        ValueError: ``int_quant`` has a narrow range.
    Gradient: flows to the tensor through the statistic, straight through rounding and bounds.
    """

    def __init__(
        self,
        int_quant: Any,
        quantize_zero_point: bool,
        zero_point_stats_input_view_shape_impl: nn.Module,
        zero_point_stats_impl: nn.Module,
    ) -> None:
        super().__init__()
        self.from_lowest = from_lowest(int_quant, quantize_zero_point)
        self.stats_input_view_shape_impl = zero_point_stats_input_view_shape_impl
        self.zero_point_stats_impl = zero_point_stats_impl

    def forward(self, x: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        if x.numel() == 0:
            return self.from_lowest(torch.zeros_like(scale), scale, bit_width)
        lowest = self.zero_point_stats_impl(self.stats_input_view_shape_impl(x))
        return self.from_lowest(-lowest.reshape(scale.shape), scale, bit_width)
