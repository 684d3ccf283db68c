"""Scales in front of a weight's rounding, by statistic or norm.

With weight normalization ``w = g * v / norm(v)`` per output channel, where ``v`` is the layer's
parameter and the norm ``g`` is learned, quantization with the scale ``s`` reads

``y = s * clamp(round(v / pre_scale))``  with  ``pre_scale = s * norm(v) / g``.

In :mod:`qat.components.scaling.accumulator` the norm is held so small that no sum overflows.
"""

from typing import List, Optional, Tuple

from torch import Tensor, nn

from qat.components.scaling.fixed import ParameterScaling
from qat.components.scaling.from_weight import stats_over
from qat.components.stats import widened
from qat.ops import scalar_clamp_min_ste, scale_from_threshold


class StatsPreScaling(nn.Module):
    """``threshold / int_range`` with a threshold of its own, as any scale has it.

    Called ``(x, scale, int_range)``, as is every scaling in front of the rounding.

    Args:
        pre_threshold_impl: called with ``x``, gives the threshold.
    """

    def __init__(self, pre_threshold_impl: nn.Module) -> None:
        super().__init__()
        self.pre_threshold_impl = pre_threshold_impl

    def forward(self, x: Tensor, scale: Tensor, int_range: Tensor) -> Tensor:
        return scale_from_threshold(self.pre_threshold_impl(x), int_range)


class ParameterPreScalingWeightNorm(nn.Module):
    """``scale * norm(x) / g`` per output channel, with a learned norm ``g``.

    ``g`` starts at the norm of the weight as it is when this is built, and is the parameter
    ``norm_scaling.value``.

    Args:
        normalize_stats_impl: norm of each row of a view ``[channels, elements]``.
        tracked_parameter_list: the weight; one, since norms of several have no common meaning.
        pre_scaling_view_impl: that view.
        pre_scaling_shape: shape of ``g``, one entry per channel, broadcastable to the weight.
        restrict_pre_scaling_impl: the set that ``g`` is restricted to; any float unless given.
        pre_scaling_min_val: lower bound of ``g``, and of the norm.
    Raises:
        ValueError: more than one parameter.
    Gradient: that of the formula.
    Source: Salimans and Kingma 2016, arXiv:1602.07868; A2Q, Colbert et al. 2023,
        arXiv:2308.13504.
    """

    def __init__(
        self,
        normalize_stats_impl: nn.Module,
        tracked_parameter_list: List[Tensor],
        pre_scaling_view_impl: nn.Module,
        pre_scaling_shape: Tuple[int, ...],
        restrict_pre_scaling_impl: Optional[nn.Module] = None,
        pre_scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__()
        self.starts_from_weights = True  # of the instance: TorchScript keeps it
        if len(tracked_parameter_list) != 1:
            raise ValueError(
                f"a weight norm is learned for one layer, but {len(tracked_parameter_list)} share "
                f"the quantizer; give each its own."
            )
        self.normalize_stats_impl = normalize_stats_impl
        self.pre_scaling_view_impl = pre_scaling_view_impl
        self.shape = list(pre_scaling_shape)
        # A channel of zeros has no norm; one of 2^-126 is as good, and can be divided by.
        smallest = 2.0**-126 if pre_scaling_min_val is None else float(pre_scaling_min_val)
        self.smallest_norm = smallest
        start = stats_over(
            tracked_parameter_list, pre_scaling_view_impl, normalize_stats_impl, pre_scaling_shape
        )
        self.norm_scaling = ParameterScaling(
            start, pre_scaling_shape, restrict_pre_scaling_impl, pre_scaling_min_val
        )

    def forward(self, x: Tensor, scale: Tensor, int_range: Tensor) -> Tensor:
        return scale * self.norm(x) / self.learned_norm(x)

    def norm(self, x: Tensor) -> Tensor:
        """Norm of each output channel, broadcastable to ``x``."""
        norm = self.normalize_stats_impl(self.pre_scaling_view_impl(x)).reshape(self.shape)
        return scalar_clamp_min_ste(norm, self.smallest_norm)

    def learned_norm(self, x: Tensor) -> Tensor:
        """``g``, in the dtype of ``x`` or a wider one."""
        return scalar_clamp_min_ste(widened(self.norm_scaling(x)), self.smallest_norm)
