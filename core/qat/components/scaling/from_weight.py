"""Scales from a parameter's statistics: recomputed at every call, or learned."""

import math
from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from qat.components.scaling.base import SCALAR_SHAPE, PositiveScale, lower_bound
from qat.components.scaling.fixed import ParameterScaling
from qat.components.stats import AbsMax, Stats
from qat.components.views import OverOutputChannelView, OverTensorView


def stats_over(
    parameters: List[Tensor], view: nn.Module, stats: nn.Module, shape: Tuple[int, ...]
) -> Tensor:
    """Statistic of parameters joined along the last dimension of their views, in ``shape``."""
    with torch.no_grad():
        joined = torch.cat([view(parameter.detach()) for parameter in parameters], dim=-1)
        return stats(joined).reshape(shape)


def he_scale(parameters: List[Tensor], output_channel_dim: int) -> float:
    """``sqrt(2 / fan_in)``, of several parameters the mean.

    ``fan_in`` counts the elements per output channel.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    fans = [parameter.numel() / parameter.shape[output_channel_dim] for parameter in parameters]
    return sum(math.sqrt(2.0 / fan) for fan in fans) / len(fans)


class StatsFromParameterScaling(PositiveScale):
    """Scale recomputed from the parameter at every call; the gradient flows through the statistic.

    Called with the parameter that is being quantized.

    Args:
        scaling_stats_impl: statistic, see :mod:`qat.components.stats`.
        scaling_stats_input_view_shape_impl: view it is taken over; the whole tensor unless given.
        scaling_shape: shape of the scale.
        restrict_scaling_impl: the set that the scale is restricted to; any float unless given.
        scaling_min_val: lower bound of the scale.
    """

    def __init__(
        self,
        scaling_stats_impl: nn.Module,
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__()
        self.set_restriction(restrict_scaling_impl, scaling_min_val)
        view = scaling_stats_input_view_shape_impl
        self.stats_input_view_shape_impl = OverTensorView() if view is None else view
        self.stats = Stats(scaling_stats_impl, scaling_shape)
        self.restrict_preprocess = self.preprocess()

    def stored(self, x: Tensor) -> Tensor:
        stats = self.stats(self.stats_input_view_shape_impl(x))
        return self.restrict_preprocess(self.clamp_scaling(stats))


def rows_of_maximum(scaling: nn.Module) -> Optional[str]:
    """What ``scaling`` takes largest magnitudes of, if it does nothing else to its input.

    Returns:
        ``"tensor"``, ``"first dimension"`` (of each of its entries), or None.
    """
    if type(scaling) is not StatsFromParameterScaling:
        return None
    view, stats = scaling.stats_input_view_shape_impl, scaling.stats.stats_impl
    if type(stats) is not AbsMax or not scaling.is_unrestricted:
        return None
    if type(view) is OverTensorView and stats.stats_reduce_dim is None:
        return "tensor"
    is_rows = type(view) is OverOutputChannelView and not view.permutes
    return "first dimension" if is_rows and stats.stats_reduce_dim == 1 else None


class SharedStatsFromParameterScaling(StatsFromParameterScaling):
    """:class:`StatsFromParameterScaling` of several parameters that share one scale.

    Whichever is being quantized, the statistic is that of all of them, joined along the last
    dimension of their views. They belong to their layers and are held in a plain list: not part
    of the state dict, and copied together with the layers by ``copy.deepcopy`` and pickle. Stays
    outside TorchScript.
    """

    scriptable = False

    def __init__(
        self,
        tracked_parameter_list: List[Tensor],
        scaling_stats_impl: nn.Module,
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__(
            scaling_stats_impl,
            scaling_stats_input_view_shape_impl,
            scaling_shape,
            restrict_scaling_impl,
            scaling_min_val,
        )
        self.tracked_parameter_list = list(tracked_parameter_list)

    def stored(self, x: Tensor) -> Tensor:
        views = [self.stats_input_view_shape_impl(item) for item in self.tracked_parameter_list]
        stats = self.stats(torch.cat(views, dim=-1))
        return self.restrict_preprocess(self.clamp_scaling(stats))


class ParameterFromStatsFromParameterScaling(ParameterScaling):
    """A learned scale that starts at a statistic of the parameter as it is when this is built.

    Args:
        scaling_stats_impl: statistic, see :mod:`qat.components.stats`.
        tracked_parameter_list: the parameters, joined along the last dimension of their views.
        scaling_stats_input_view_shape_impl: view it is taken over; the whole tensor unless given.
        scaling_shape: shape of the scale.
        restrict_scaling_impl, scaling_min_val: as for :class:`ParameterScaling`.
    """

    def __init__(
        self,
        scaling_stats_impl: nn.Module,
        tracked_parameter_list: List[Tensor],
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        view = scaling_stats_input_view_shape_impl
        view = OverTensorView() if view is None else view
        init = stats_over(tracked_parameter_list, view, scaling_stats_impl, scaling_shape)
        init = lower_bound(scaling_min_val, restrict_scaling_impl)(init)
        super().__init__(init, scaling_shape, restrict_scaling_impl, scaling_min_val)
        self.starts_from_weights = True  # of the instance: TorchScript keeps it
