"""Zero points from a parameter's lowest number: recomputed, or learned from it."""

from typing import Any, List, Tuple

import torch
from torch import Tensor, nn

from qat.components.scaling.from_weight import stats_over
from qat.components.stats import Stats
from qat.components.zero_point.base import from_lowest
from qat.components.zero_point.fixed import ParameterZeroPoint


class StatsFromParameterZeroPoint(nn.Module):
    """Zero point found anew at every call, of the parameter that is being quantized.

    Args:
        int_quant: the arithmetic on the grid.
        quantize_zero_point: whether the zero point is an integer of the grid, or real.
        zero_point_stats_input_view_shape_impl: view the statistic is taken over.
        zero_point_stats_impl: gives the lowest number that the grid shall hold, at most 0.
        zero_point_shape: shape of the zero point.
    Raises:
        ValueError: ``int_quant`` has a narrow range.
    Gradient: flows to the parameter through the statistic, straight through rounding and bounds.
    """

    def __init__(
        self,
        int_quant: Any,
        quantize_zero_point: bool,
        zero_point_stats_input_view_shape_impl: nn.Module,
        zero_point_stats_impl: nn.Module,
        zero_point_shape: Tuple[int, ...],
    ) -> None:
        super().__init__()
        self.from_lowest = from_lowest(int_quant, quantize_zero_point)
        self.stats_input_view_shape_impl = zero_point_stats_input_view_shape_impl
        self.stats = Stats(zero_point_stats_impl, zero_point_shape)

    def forward(self, x: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        lowest = self.stats(self.stats_input_view_shape_impl(x))
        return self.from_lowest(-lowest, scale, bit_width)


class SharedStatsFromParameterZeroPoint(StatsFromParameterZeroPoint):
    """:class:`StatsFromParameterZeroPoint` of several parameters that share one zero point.

    Whichever is being quantized, the statistic is that of all of them, joined along the last
    dimension of their views. They belong to their layers and are held in a plain list, as
    ``SharedStatsFromParameterScaling`` does. Stays outside TorchScript.
    """

    scriptable = False

    def __init__(
        self,
        tracked_parameter_list: List[Tensor],
        int_quant: Any,
        quantize_zero_point: bool,
        zero_point_stats_input_view_shape_impl: nn.Module,
        zero_point_stats_impl: nn.Module,
        zero_point_shape: Tuple[int, ...],
    ) -> None:
        super().__init__(
            int_quant,
            quantize_zero_point,
            zero_point_stats_input_view_shape_impl,
            zero_point_stats_impl,
            zero_point_shape,
        )
        self.tracked_parameter_list = list(tracked_parameter_list)

    def forward(self, x: Tensor, scale: Tensor, bit_width: Tensor) -> Tensor:
        views = [self.stats_input_view_shape_impl(item) for item in self.tracked_parameter_list]
        lowest = self.stats(torch.cat(views, dim=-1))
        return self.from_lowest(-lowest, scale, bit_width)


class ParameterFromStatsFromParameterZeroPoint(ParameterZeroPoint):
    """A learned zero point that starts at a statistic of the parameter when this is built.

    Args:
        int_quant: the arithmetic on the grid.
        quantize_zero_point: whether the zero point is an integer of the grid, or real.
        zero_point_stats_input_view_shape_impl: view the statistic is taken over.
        zero_point_stats_impl: gives the lowest number that the grid shall hold, at most 0.
        zero_point_shape: shape of the parameter ``value``.
        tracked_parameter_list: the parameters, joined along the last dimension of their views.
    Gradient: as of :class:`ParameterZeroPoint`.
    """

    def __init__(
        self,
        int_quant: Any,
        quantize_zero_point: bool,
        zero_point_stats_input_view_shape_impl: nn.Module,
        zero_point_stats_impl: nn.Module,
        zero_point_shape: Tuple[int, ...],
        tracked_parameter_list: List[Tensor],
    ) -> None:
        view = zero_point_stats_input_view_shape_impl
        lowest = stats_over(tracked_parameter_list, view, zero_point_stats_impl, zero_point_shape)
        super().__init__(lowest, int_quant, quantize_zero_point, zero_point_shape)
        self.starts_from_weights = True  # of the instance: TorchScript keeps it
