"""Resolvers by role: weight, activation, bias.

A role decides where the scale is from: a parameter at hand, or the tensors that pass by.
"""

from typing import Any

from torch import Tensor

from qat.components.clamp import TensorClamp, TensorClampSte
from qat.components.quant import PrescaledRestrictIntQuant, RescalingIntQuant
from qat.components.scaling import (
    AffineStatsScaling,
    ConstScaling,
    ParameterFromRuntimeStatsScaling,
    ParameterFromStatsFromParameterScaling,
    ParameterScaling,
    RuntimeDynamicStatsScaling,
    RuntimeStatsScaling,
    SharedStatsFromParameterScaling,
    StatsFromParameterScaling,
    he_scale,
)
from qat.enums import Role, ScalingImplType, ScalingPerOutputType, lookup, member
from qat.inject import ExtendedInjector, value
from qat.quantizers.resolve.bit_widths import is_learned
from qat.quantizers.resolve.granularity import (
    GROUP,
    ActGroups,
    WeightGroups,
    runtime_scaling,
    tracked_in,
)
from qat.quantizers.resolve.resolvers import TENSOR_QUANT, Resolver
from qat.quantizers.resolve.zero_points import is_learned_zero_point, when_shared, widest

PARAMETER_SCALING = {
    ScalingImplType.CONST: ConstScaling,
    ScalingImplType.HE: ConstScaling,
    ScalingImplType.PARAMETER: ParameterScaling,
    ScalingImplType.PARAMETER_FROM_STATS: ParameterFromStatsFromParameterScaling,
    ScalingImplType.STATS: StatsFromParameterScaling,
    ScalingImplType.AFFINE_STATS: AffineStatsScaling,
    ScalingImplType.DYNAMIC: StatsFromParameterScaling,  # a parameter is always at hand
}
SHARED_PARAMETER_SCALING = when_shared(PARAMETER_SCALING, SharedStatsFromParameterScaling)
RUNTIME_SCALING = {
    ScalingImplType.CONST: ConstScaling,
    ScalingImplType.PARAMETER: ParameterScaling,
    ScalingImplType.PARAMETER_FROM_STATS: ParameterFromRuntimeStatsScaling,
    ScalingImplType.STATS: RuntimeStatsScaling,
    ScalingImplType.AFFINE_STATS: AffineStatsScaling,
    ScalingImplType.DYNAMIC: RuntimeDynamicStatsScaling,
}
#: A scale that follows its parameter moves with it, so its clamp must not stop the gradient; one
#: that is learned or fixed clips for good (PACT, arXiv:1805.06085). One of a learned bit width
#: or zero point clips too: what it cuts off is what tells it where to go.
PARAMETER_CLAMP = {
    ScalingImplType.CONST: TensorClampSte,
    ScalingImplType.HE: TensorClampSte,
    ScalingImplType.PARAMETER: TensorClamp,
    ScalingImplType.PARAMETER_FROM_STATS: TensorClamp,
    ScalingImplType.STATS: TensorClampSte,
    ScalingImplType.AFFINE_STATS: TensorClamp,
    ScalingImplType.DYNAMIC: TensorClampSte,
}


def _modules(module: Any) -> tuple[Any, ...]:
    return module if isinstance(module, tuple) else (module,)


def _dimension_first(dim: int, dims: int) -> tuple[int, ...] | None:
    """Order of ``dims`` dimensions that puts ``dim`` first; None where it is."""
    return None if dim == 0 else (dim, *(other for other in range(dims) if other != dim))


class ParameterResolver(Resolver):
    """A quantizer of parameters, with a scale from their statistics."""

    @value
    def scaling_impl(scaling_impl_type: Any, module: Any) -> Any:
        shared = len(_modules(module)) > 1
        table = SHARED_PARAMETER_SCALING if shared else PARAMETER_SCALING
        return lookup(table, scaling_impl_type, "scaling_impl_type")

    @value
    def rescaled_scaling_impl(module: Any) -> Any:
        shared = len(_modules(module)) > 1
        return SharedStatsFromParameterScaling if shared else StatsFromParameterScaling

    @value
    def tensor_clamp_impl(
        scaling_impl_type: Any, bit_width_impl_type: Any, zero_point_impl_type: Any
    ) -> Any:
        clamp = lookup(PARAMETER_CLAMP, scaling_impl_type, "scaling_impl_type")
        clips = is_learned(bit_width_impl_type) or is_learned_zero_point(zero_point_impl_type)
        return TensorClamp if clips else clamp

    @value
    def scaling_init(
        scaling_impl_type: Any,
        tracked_parameter_list: Any = None,
        output_channel_dim: int = 0,
        scaling_const: Any = None,
    ) -> Any:
        if member(ScalingImplType, scaling_impl_type) is ScalingImplType.HE:
            return he_scale(tracked_parameter_list, output_channel_dim)
        if scaling_const is None:
            raise ValueError(
                "a constant or learned scale of a parameter needs a start: give scaling_const; "
                "scaling_impl_type 'parameter_from_stats' starts at the statistic instead."
            )
        return scaling_const


class WeightResolver(WeightGroups, ParameterResolver):
    """A quantizer of the ``weight`` of its ``module``, or of those of a tuple of modules."""

    role = Role.WEIGHT

    @value
    def tracked_parameter_list(
        module: Any, scaling_per_output: Any, group_dim: Any, group_size: Any
    ) -> list[Tensor]:
        weights = [layer.weight for layer in _modules(module)]
        return tracked_in(scaling_per_output, weights, module, group_dim, group_size)

    @value
    def output_channel_dim(module: Any) -> int:
        return getattr(_modules(module)[0], "output_channel_dim", 0)

    @value
    def per_channel_broadcastable_shape(module: Any, output_channel_dim: int) -> tuple[int, ...]:
        weight = _modules(module)[0].weight
        shape = [1] * weight.dim()
        shape[output_channel_dim] = weight.shape[output_channel_dim]
        return tuple(shape)

    @value
    def per_row_broadcastable_shape(module: Any) -> tuple[int, ...]:
        return (*_modules(module)[0].weight.shape[:-1], 1)

    @value
    def scaling_stats_permute_dims(
        module: Any, output_channel_dim: int, scaling_per_output: Any
    ) -> Any:
        if scaling_per_output is GROUP:
            return None
        return _dimension_first(output_channel_dim, _modules(module)[0].weight.dim())


class RuntimeResolver(ActGroups, Resolver):
    """A quantizer with a scale from the tensors that pass by."""

    min_val: Any = None
    max_val: Any = None
    scaling_const: Any = None
    scaling_stats_momentum = 0.1

    @value
    def scaling_stats_permute_dims(
        scaling_per_output: Any, per_channel_broadcastable_shape: Any = None
    ) -> Any:
        per_channel = scaling_per_output is ScalingPerOutputType.CHANNEL
        if not per_channel or per_channel_broadcastable_shape is None:
            return None
        sizes = list(per_channel_broadcastable_shape)
        channel = next((dim for dim, size in enumerate(sizes) if size != 1), 0)
        return _dimension_first(channel, len(sizes))

    rescaled_scaling_impl = RuntimeStatsScaling

    @value
    def scaling_impl(scaling_impl_type: Any, scaling_per_output: Any, module: Any = None) -> Any:
        scaling = lookup(RUNTIME_SCALING, scaling_impl_type, "scaling_impl_type")
        return runtime_scaling(scaling, scaling_impl_type, scaling_per_output, module)

    @value
    def scaling_init(scaling_const: Any, min_val: Any, max_val: Any, is_shifted: bool) -> Any:
        if scaling_const is not None:
            return scaling_const
        bounds = [float(bound) for bound in (min_val, max_val) if bound is not None]
        if not bounds:
            raise ValueError(
                "a constant or learned activation scale needs a start: "
                "give scaling_const, or min_val and max_val."
            )
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise ValueError(f"min_val is {min_val}, above max_val, {max_val}; exchange them.")
        return widest(bounds, is_shifted)


class ActResolver(RuntimeResolver):
    """A quantizer of activations."""

    role = Role.ACTIVATION


class BiasResolver(ParameterResolver):
    """A quantizer of the ``bias`` of its ``module``.

    With ``requires_input_scale`` the scale is that of the layer's accumulator, input scale times
    weight scale; without, it comes from the bias itself.
    """

    role = Role.BIAS
    requires_input_scale = False

    @value
    def tensor_quant(quant_type: Any, requires_input_scale: bool) -> Any:
        quant = lookup(TENSOR_QUANT, quant_type, "quant_type")
        if quant is RescalingIntQuant and requires_input_scale:
            return PrescaledRestrictIntQuant
        return quant

    @value
    def tensor_clamp_impl(requires_input_scale: bool) -> Any:
        return TensorClamp if requires_input_scale else TensorClampSte

    @value
    def tracked_parameter_list(module: Any) -> list[Tensor]:
        return [layer.bias for layer in _modules(module)]

    @value
    def per_channel_broadcastable_shape(module: Any) -> tuple[int, ...]:
        return tuple(_modules(module)[0].bias.shape)


def role_of(quantizer: type[ExtendedInjector]) -> Role | None:
    """What ``quantizer`` quantizes; None where it derives from no resolver of a role."""
    return quantizer.role if "role" in quantizer else None
