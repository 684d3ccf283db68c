"""Binary and ternary quantizers from papers."""

from typing import Any

from qat.components.quant import EstimatedBinaryQuant, TwoSidedTernaryQuant
from qat.components.rounding import RoundSte
from qat.components.scaling import (
    LearnedTwoSidedScaling,
    MeanBeyondThreshold,
    TernaryThreshold,
)
from qat.components.weight_transforms import Standardize
from qat.enums import RestrictValueType, ScalingPerOutputType, SignGradient, StatsOp
from qat.inject import value
from qat.quantizers.ready.binary_ternary import MeanStats
from qat.quantizers.resolve.presets import ConstantScale, OneBit, PerChannel
from qat.quantizers.resolve.roles import ActResolver, WeightResolver


class _EstimatedBinary(OneBit):
    tensor_quant = EstimatedBinaryQuant


class _MeanBinaryWeight(_EstimatedBinary, MeanStats, WeightResolver):
    """Scale ``mean |w|``, a constant to the gradient."""


class XNORWeight(PerChannel, _MeanBinaryWeight):
    """1 bit, per output channel: ``y = a * sign(w)`` with ``a = mean|w|``.

    Gradient: ``1 / n + a`` where ``|w| <= 1``, else ``1 / n``, for the ``n`` weights of a channel.

    Source: XNOR-Net, arXiv:1603.05279, Binary-Weight-Networks.
    """

    sign_gradient_type = SignGradient.XNOR


class BiRealWeight(_MeanBinaryWeight):
    """1 bit, per tensor, magnitude-aware sign: ``y = a * sign(w)`` with ``a = mean|w|``.

    Gradient: ``a`` where ``|w| <= 1``, else 0.

    Source: Bi-Real net, arXiv:1808.00278, section 3.3. After training its authors leave ``a`` to
    the batch norm behind; with ``scaling_per_output_channel`` there is one ``a`` per channel.
    """

    sign_gradient_type = SignGradient.CLIP


class IRNetWeight(PerChannel, _MeanBinaryWeight):
    """1 bit, per output channel: ``y = 2**s * sign(v)`` of the standardized weight ``v``.

    ``v = (w - mean(w)) / std(w)``, ``s = round(log2(mean|v|))``.

    Gradient: to ``v``, ``2**s * k * t * (1 - tanh(t v)**2)`` with ``k = max(1 / t, 1)``, where
    ``t`` grows from 0.1 to 10 over the training (:func:`qat.components.set_progress`); from there
    through mean and deviation.

    Source: IR-Net, arXiv:1909.10788, sections 3.2 (Libra parameter binarization) and 3.3 (error
    decay estimator). The deviation is that of the weights at hand (division by ``n``).
    """

    sign_gradient_type = SignGradient.EDE
    wider_class = EstimatedBinaryQuant  # no wider one: none standardizes the weight
    restrict_scaling_type = RestrictValueType.POWER_OF_TWO
    restrict_value_float_to_int_impl = RoundSte
    prepare_impl = Standardize

    @value
    def kept_dim(scaling_per_output: Any, output_channel_dim: int) -> int | None:
        is_whole = scaling_per_output is ScalingPerOutputType.TENSOR
        return None if is_whole else output_channel_dim


class _ConstantBinaryAct(_EstimatedBinary, ConstantScale, ActResolver):
    min_val = -1.0
    max_val = 1.0


class BiRealAct(_ConstantBinaryAct):
    """1 bit: ``y = s * sign(x)``, ``s = max(|min_val|, |max_val|)``, 1 unless given (ApproxSign).

    Gradient: ``s * max(2 - 2|x|, 0)``.

    Source: Bi-Real net, arXiv:1808.00278, section 3.3.
    """

    sign_gradient_type = SignGradient.APPROX_SIGN


class IRNetAct(_ConstantBinaryAct):
    """1 bit: ``y = s * sign(x)``, ``s = max(|min_val|, |max_val|)``, 1 unless given (EDE).

    Gradient: ``s * k * t * (1 - tanh(t x)**2)`` with ``k = max(1 / t, 1)``, where ``t`` grows from
    0.1 to 10 over the training (:func:`qat.components.set_progress`).

    Source: IR-Net, arXiv:1909.10788, section 3.3 (error decay estimator).
    """

    sign_gradient_type = SignGradient.EDE


class _TwoSidedTernary(WeightResolver):
    tensor_quant = TwoSidedTernaryQuant
    threshold_impl = TernaryThreshold
    signed = True
    narrow_range = True
    bit_width = 2


class TWNWeight(_TwoSidedTernary):
    """2 bit narrow, per tensor: ``-a``, 0 or ``a``, zero where ``|w| <= d = 0.7 mean|w|``.

    ``a = mean of |w| where |w| > d``. Gradient: that of the identity.

    Source: ternary weight networks, arXiv:1605.04711, section 2.2.
    """

    scaling_impl = MeanBeyondThreshold
    scaling_stats_op = StatsOp.AVE
    threshold = 0.7
    scaled_gradient = False


class TTQWeight(_TwoSidedTernary):
    """2 bit narrow, per tensor: ``-n``, 0 or ``p``, zero where ``|w| <= d = 0.05 max|w|``.

    ``p`` and ``n`` are learned from the mean of ``|w|`` beyond ``d`` on their side on. As there are
    two of them, an accumulator of such weights has no integer grid: a layer that returns a
    ``QuantTensor`` gives it without a scale.

    Gradient: to ``w`` times ``p`` where ``w > d``, ``n`` where ``w < -d``, else 1; to ``p`` the sum
    of the gradients where ``w > d``, to ``n`` minus that where ``w < -d``.

    Source: TTQ, arXiv:1612.01064.
    """

    scaling_impl = LearnedTwoSidedScaling
    scaling_stats_op = StatsOp.MAX
    threshold = 0.05
    scaled_gradient = True
