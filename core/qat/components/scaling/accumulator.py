"""Weight norms with which no sum of products overflows an accumulator.

An accumulator of ``P`` bits holds ``2**(P-1) - 1``. Inputs of ``N`` bits are at most ``2**N - 1``
unsigned and ``2**(N-1)`` signed, so that the sum of ``|q|`` over the integer weights of an output
channel may reach (A2Q)

``T = (2**(P-1) - 1) * 2**(1_signed - N)``.

Weights of mean zero add up as many positive as negative steps, of which only one kind meets the
largest input at a time. So their sum of ``|q|`` may reach about twice as much (A2Q+),

``T = (2**P - 2) / (2**N - 1)``.

The learned norm, in steps of the scale, is held at ``T``; rounding towards zero makes it no larger.
``T`` is for real numbers: what float arithmetic may add is taken off before.

Sources: Colbert et al., A2Q: 2023, arXiv:2301.13376 and arXiv:2308.13504; A2Q+: 2024,
arXiv:2401.10432.
"""

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from qat import jit
from qat.components.scaling.pre_scaling import ParameterPreScalingWeightNorm
from qat.components.stats import L1Norm, widened
from qat.components.weight_transforms import PreZeroCenterZeroPoint
from qat.ops import scalar_clamp_min_ste


def _rounding(x: Tensor) -> float:
    """Bound of the relative errors of a sum over a channel and of the few steps behind it."""
    return 2.0**-47 if x.dtype == torch.float64 else 2.0**-18


class AccumulatorAwareParameterPreScaling(ParameterPreScalingWeightNorm):
    """``norm(x) / min(g / scale, T)`` per output channel, with ``norm`` the sum of magnitudes.

    Called ``(x, scale, int_range, input_bit_width, input_is_signed)``. For ``T`` and sources see
    the module docstring.

    Args:
        accumulator_bit_width_impl: called without argument, gives ``P``.
        normalize_stats_impl: ``L1Norm``; the others as for
            :class:`qat.components.scaling.pre_scaling.ParameterPreScalingWeightNorm`.
    Raises:
        ValueError: when built: another norm, or an accumulator that can hold no product; when
            called: one that can hold no product with such an input.
    Gradient: that of the formula; none to ``g`` where ``T`` holds.
    """

    #: The least ``T`` that leaves a weight to be other than 0.
    smallest_sum = 1.0

    def __init__(
        self,
        accumulator_bit_width_impl: nn.Module,
        normalize_stats_impl: nn.Module,
        tracked_parameter_list: List[Tensor],
        pre_scaling_view_impl: nn.Module,
        pre_scaling_shape: Tuple[int, ...],
        restrict_pre_scaling_impl: Optional[nn.Module] = None,
        pre_scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__(
            normalize_stats_impl,
            tracked_parameter_list,
            pre_scaling_view_impl,
            pre_scaling_shape,
            restrict_pre_scaling_impl,
            pre_scaling_min_val,
        )
        if type(normalize_stats_impl) is not L1Norm:
            raise ValueError(
                f"normalize_stats_impl is {type(normalize_stats_impl).__name__}, which does not "
                f"bound a sum of products; use L1Norm."
            )
        self.accumulator_bit_width = accumulator_bit_width_impl
        self.smallest_pre_scale = 0.0 if pre_scaling_min_val is None else pre_scaling_min_val
        self._checked_width = 0  # id of the bit width that was checked last
        self._check(torch.tensor(1.0), False)

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        scale: Tensor,
        int_range: Tensor,
        input_bit_width: Tensor,
        input_is_signed: bool,
    ) -> Tensor:
        if jit.is_scripting():
            pass
        elif not torch.compiler.is_compiling() and id(input_bit_width) != self._checked_width:
            self._check(input_bit_width, input_is_signed)
            self._checked_width = id(input_bit_width)
        most = self.largest_norm(input_bit_width, input_is_signed)
        norm = self.norm(x)
        wanted = norm / (self.learned_norm(x) / scale)
        least = (norm + self.room(x)) / most
        return scalar_clamp_min_ste(torch.maximum(wanted, least), self.smallest_pre_scale)

    def largest_norm(self, input_bit_width: Tensor, input_is_signed: bool) -> Tensor:
        """``T``: what the sum of ``|q|`` of a channel may reach."""
        largest_sum = torch.pow(2.0, widened(self.accumulator_bit_width()) - 1.0) - 1.0
        return largest_sum * torch.pow(2.0, float(input_is_signed) - widened(input_bit_width))

    def room(self, x: Tensor) -> Tensor:
        """What rounding errors may add to the sum of magnitudes; broadcastable, no gradient."""
        return self.norm(x.detach()) * _rounding(x)

    def _check(self, input_bit_width: Tensor, input_is_signed: bool) -> None:
        if not bool(self.largest_norm(input_bit_width, input_is_signed) >= self.smallest_sum):
            sign = "a signed" if input_is_signed else "an unsigned"
            raise ValueError(
                f"accumulator_bit_width is {int(self.accumulator_bit_width())}, in which not one "
                f"product with {sign} input of {int(input_bit_width)} bit fits: all weights "
                f"would be 0; use more bits there, or fewer for the input."
            )


class AccumulatorAwareZeroCenterParameterPreScaling(AccumulatorAwareParameterPreScaling):
    """:class:`AccumulatorAwareParameterPreScaling` of weights whose mean is taken off.

    Args:
        pre_zero_point_impl: takes off the mean, see
            :class:`qat.components.weight_transforms.PreZeroCenterZeroPoint`; also that of the
            quantizer. The others as there.
    """

    #: One positive and one negative step.
    smallest_sum = 2.0

    def __init__(
        self,
        pre_zero_point_impl: PreZeroCenterZeroPoint,
        accumulator_bit_width_impl: nn.Module,
        normalize_stats_impl: nn.Module,
        tracked_parameter_list: List[Tensor],
        pre_scaling_view_impl: nn.Module,
        pre_scaling_shape: Tuple[int, ...],
        restrict_pre_scaling_impl: Optional[nn.Module] = None,
        pre_scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__(
            accumulator_bit_width_impl,
            normalize_stats_impl,
            tracked_parameter_list,
            pre_scaling_view_impl,
            pre_scaling_shape,
            restrict_pre_scaling_impl,
            pre_scaling_min_val,
        )
        self.pre_zero_point_impl = pre_zero_point_impl

    def norm(self, x: Tensor) -> Tensor:
        rows = self.pre_scaling_view_impl(x - self.pre_zero_point_impl.mean(x))
        norm = self.normalize_stats_impl(rows).reshape(self.shape)
        return scalar_clamp_min_ste(norm, self.smallest_norm)

    def largest_norm(self, input_bit_width: Tensor, input_is_signed: bool) -> Tensor:
        two = torch.pow(2.0, widened(self.accumulator_bit_width())) - 2.0
        return two / (torch.pow(2.0, widened(input_bit_width)) - 1.0)

    def room(self, x: Tensor) -> Tensor:
        # The steps are counted from 0, where the errors of large weights are larger than those of
        # their differences; and the mean is never quite the one that balances both signs.
        x = x.detach()
        mean = self.pre_zero_point_impl.mean(x)
        rows = self.pre_scaling_view_impl(torch.abs(x) + torch.abs(mean))
        imbalance = torch.abs(torch.sum(self.pre_scaling_view_impl(x - mean), dim=1))
        return (torch.sum(rows, dim=1) * _rounding(x) + imbalance).reshape(self.shape)
