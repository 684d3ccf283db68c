"""Quantizers of few bits from papers; 4 bits unless ``bit_width`` is given."""

from typing import Any

from qat.components.quant import DoReFaQuant, EstimatedBinaryQuant, PACTQuant
from qat.components.scaling import (
    LSQPlusStep,
    LSQPlusZeroPoint,
    LSQScaling,
    LSQScalingFromParameter,
    LSQStep,
    StepIntScaling,
)
from qat.enums import QuantType, ScalingImplType, SignGradient
from qat.inject import ExtendedInjector, value
from qat.quantizers.ready.binary_ternary import MeanStats
from qat.quantizers.resolve.presets import (
    SMALLEST_THRESHOLD,
    ConstantScale,
    LearnedFromBounds,
    PerChannel,
)
from qat.quantizers.resolve.roles import ActResolver, WeightResolver


class DoReFaWeight(MeanStats, WeightResolver):
    """4 bit, per tensor: ``y = 2 round(n (t + 1) / 2) / n - 1`` with ``n = 2**bit_width - 1``.

    ``t = tanh(w) / max|tanh(w)|``. The results, from -1 to 1 without 0, are odd multiples of
    ``1 / n``: as integers they take a bit more than ``bit_width``. Gradient: through ``t``,
    straight through the rounding.

    With ``bit_width=1``: ``y = mean|w| * sign(w)``, gradient that of the identity.

    Source: DoReFa-Net, arXiv:1606.06160, eq. 9 and 8.
    """

    sign_gradient_type = SignGradient.STRAIGHT
    signed = True
    bit_width = 4

    @value
    def tensor_quant(bit_width: int) -> Any:
        return EstimatedBinaryQuant if bit_width == 1 else DoReFaQuant


class _PACT(ActResolver):
    quant_type = QuantType.INT
    tensor_quant = PACTQuant
    signed = False
    bit_width = 4


class DoReFaAct(ConstantScale, _PACT):
    """4 bit unsigned, per tensor: ``y = round(n v) / n`` with ``v = min(max(x, 0), 1)``.

    ``n = 2**bit_width - 1``; ``max_val`` moves the upper bound. Gradient: that of the identity
    where ``0 < x < 1``, else 0.

    Source: DoReFa-Net, arXiv:1606.06160, eq. 5 and section 2.4.
    """

    min_val = 0.0
    max_val = 1.0


class PACTAct(LearnedFromBounds, _PACT):
    """4 bit unsigned, per tensor: ``y = round(n v / a) a / n``, ``v = min(max(x, 0), a)``.

    ``n = 2**bit_width - 1``; the bound ``a`` is learned from 10 on (``max_val``, or
    ``scaling_const``). It takes the place of a ReLU. Gradient: to ``x`` that of the identity where
    ``0 < x < a``, else 0; to ``a`` the sum of those where ``x >= a``.

    Source: PACT, arXiv:1805.06085, eq. 1 to 3. The L2 penalty on ``a`` that belongs to it is a
    weight decay on the learned scales, which the optimizer is told.
    """

    min_val = 0.0
    max_val = 10.0


class _LSQ(ExtendedInjector):
    """A learned step ``s``: ``y = clamp(round(x / s), qmin, qmax) * s``."""

    quant_type = QuantType.INT
    signed = True
    bit_width = 4
    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    scaling_stats_impl: Any = LSQStep
    int_scaling_impl = StepIntScaling
    scaling_min_val: Any = SMALLEST_THRESHOLD


class LSQWeightPerTensor(_LSQ, WeightResolver):
    """4 bit signed, per tensor; step learned from ``2 mean|w| / sqrt(qmax)`` on.

    Gradient: to ``w`` that of the identity inside the grid, else 0. To the step, summed, ``q - w /
    s`` inside and ``q`` outside, times ``1 / sqrt(N qmax)`` for the ``N`` weights of a step.

    Source: LSQ, arXiv:1902.08153, eq. 3 and section 2.2.
    """

    scaling_impl = LSQScalingFromParameter


class LSQWeightPerChannel(PerChannel, LSQWeightPerTensor):
    """4 bit signed, per output channel; step learned from ``2 mean|w| / sqrt(qmax)`` on.

    Gradient: as :class:`LSQWeightPerTensor`.

    Source: LSQ, arXiv:1902.08153, eq. 3 and section 2.2, a step per channel.
    """


class LSQAct(_LSQ, ActResolver):
    """4 bit signed, per tensor; step learned from the first batch's ``2 mean|x| / sqrt(qmax)``.

    Gradient: to ``x`` that of the identity inside the grid, else 0. To the step, summed, ``q - x /
    s`` inside and ``q`` outside, times ``1 / sqrt(N qmax)`` for the ``N`` features of a sample.

    Source: LSQ, arXiv:1902.08153, eq. 3 and section 2.2.
    """

    scaling_impl = LSQScaling
    collect_stats_steps = 1


class LSQUnsignedAct(LSQAct):
    """4 bit unsigned, per tensor; step learned from the first batch's ``2 mean|x| / sqrt(qmax)``.

    Gradient: as :class:`LSQAct`.

    Source: LSQ, arXiv:1902.08153, eq. 3 and section 2.2.
    """

    signed = False


class LSQPlusAct(LSQUnsignedAct):
    """4 bit unsigned with zero point, per tensor; step and offset learned from the best fit on.

    ``y = (q - z) s`` with ``q = clamp(round(x / s) + z, 0, qmax)``, and for the offset ``b``
    ``z = clamp(round(-b / s), 0, qmax)``. Both start at the least squared error of the first batch.

    Gradient: to ``x`` that of the identity inside the grid, else 0. To the step, summed,
    ``q - z - x / s`` inside and ``q - z - b / s`` outside; to the offset the sum outside; both
    times ``1 / sqrt(N qmax)`` for the ``N`` features of a sample.

    Source: LSQ+, arXiv:2004.09576, eq. 3 to 6 and section 3.2. Other than there the offset is
    rounded to a multiple of the step, so that the zero point is an integer and 0.0 stays 0.0.
    """

    scaling_stats_impl = LSQPlusStep
    zero_point_impl = LSQPlusZeroPoint
