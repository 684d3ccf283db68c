"""Thresholds of ternary weights, and the scales on either side of them."""

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from qat.components.scaling.base import SCALAR_SHAPE
from qat.components.stats import Stats, widened
from qat.components.views import OverTensorView
from qat.ops import positive_ste


class TernaryThreshold(nn.Module):
    """``d = fraction * statistic(x)``: weights of a magnitude up to ``d`` become zero.

    Args:
        threshold: the fraction, positive.
        scaling_stats_impl: statistic, see :mod:`qat.components.stats`.
        scaling_stats_input_view_shape_impl: view it is taken over; the whole tensor unless given.
        scaling_shape: shape of the threshold.
    Raises:
        ValueError: ``threshold`` is not positive.
    """

    def __init__(
        self,
        threshold: float,
        scaling_stats_impl: nn.Module,
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
    ) -> None:
        super().__init__()
        if not threshold > 0:
            raise ValueError(f"threshold is {threshold}; it must be a positive fraction.")
        view = scaling_stats_input_view_shape_impl
        self.fraction = float(threshold)
        self.stats_input_view_shape_impl = OverTensorView() if view is None else view
        self.stats = Stats(scaling_stats_impl, scaling_shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.fraction * self.stats(self.stats_input_view_shape_impl(x))


class _MeanOfChosen(nn.Module):
    """Mean of those elements that are chosen, per row of a view; 0 where none is."""

    shape: List[int]

    def __init__(self, view: Optional[nn.Module], shape: Tuple[int, ...]) -> None:
        super().__init__()
        self.view = OverTensorView() if view is None else view
        self.shape = list(shape)

    def forward(self, x: Tensor, chosen: Tensor) -> Tensor:
        mask = self.view(chosen)
        rows = widened(self.view(x)).masked_fill(torch.logical_not(mask), 0.0)
        mean = torch.sum(rows, dim=-1) / torch.sum(mask, dim=-1).clamp(min=1)
        return mean.to(x.dtype).reshape(self.shape)


class MeanBeyondThreshold(nn.Module):
    """The mean of ``|x|`` where ``|x| > d``, on both sides: the scale of the least squared error.

    Args:
        scaling_stats_input_view_shape_impl: view it is taken over; the whole tensor unless given.
        scaling_shape: shape of the scale.
    Returns:
        The scale, twice. 0 where nothing is beyond the threshold.
    Source: ternary weight networks, arXiv:1605.04711, section 2.2.
    """

    has_two_scales = False

    def __init__(
        self,
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
    ) -> None:
        super().__init__()
        self.mean = _MeanOfChosen(scaling_stats_input_view_shape_impl, scaling_shape)

    def forward(self, x: Tensor, threshold: Tensor) -> Tuple[Tensor, Tensor]:
        size = torch.abs(x)
        scale = self.mean(size, size > threshold)
        return scale, scale


class LearnedTwoSidedScaling(nn.Module):
    """A learned scale for either side, ``positive`` and ``negative``.

    They start at the mean of ``|x|`` beyond the threshold on their side, of the weight as it is
    when this is built. The paper leaves the start open.

    Args:
        tracked_parameter_list: the weights; where several share the scales, the first one is
            looked at.
        threshold_impl: called with a weight, gives its threshold.
        scaling_stats_input_view_shape_impl: view of a weight; the whole tensor unless given.
        scaling_shape: shape of each scale.
    Returns:
        ``|positive|`` and ``|negative|``; the gradient of a magnitude at 0 is +1.
    Source: TTQ, arXiv:1612.01064.
    """

    has_two_scales = True

    def __init__(
        self,
        tracked_parameter_list: List[Tensor],
        threshold_impl: nn.Module,
        scaling_stats_input_view_shape_impl: Optional[nn.Module] = None,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
    ) -> None:
        super().__init__()
        self.starts_from_weights = True  # of the instance: TorchScript keeps it
        mean = _MeanOfChosen(scaling_stats_input_view_shape_impl, scaling_shape)
        with torch.no_grad():
            weight = tracked_parameter_list[0].detach()
            threshold = threshold_impl(weight)
            self.positive = nn.Parameter(mean(weight, weight > threshold))
            self.negative = nn.Parameter(mean(-weight, weight < -threshold))

    def forward(self, x: Tensor, threshold: Tensor) -> Tuple[Tensor, Tensor]:
        return positive_ste(self.positive, 0.0), positive_ste(self.negative, 0.0)
