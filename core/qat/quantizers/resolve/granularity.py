"""Resolver of the granularity: what one scale serves.

``scaling_per_output_type`` is ``"tensor"``, ``"channel"``, ``"row"`` (all elements along the last
dimension) or ``"group"`` (``group_size`` neighbours along ``group_dim``, the last group of each
line filled up with zeros). For groups the whole quantizer is handed rows ``[groups, group_size]``
(:class:`qat.components.GroupwiseQuant`), each of which is to it what a channel is to a weight; its
tracked parameters are seen as such rows too.
"""

from typing import Any

from torch import Tensor, nn

from qat.components.quant import GroupwiseQuant
from qat.components.scaling import RuntimeDynamicRowStatsScaling, RuntimeDynamicStatsScaling
from qat.components.views import OverOutputChannelView, OverRowView, OverTensorView, to_groups
from qat.enums import ScalingImplType, ScalingPerOutputType, StatsOp, choice, member
from qat.inject import ExtendedInjector, this, value

TENSOR, CHANNEL = ScalingPerOutputType.TENSOR, ScalingPerOutputType.CHANNEL
GROUP, ROW = ScalingPerOutputType.GROUP, ScalingPerOutputType.ROW
SCALING_SHAPE: dict[ScalingPerOutputType, Any] = {
    TENSOR: (),
    CHANNEL: this.scaling_shape_per_channel,
    ROW: this.per_row_broadcastable_shape,
    GROUP: this.per_group_shape,
}
VIEW = {
    TENSOR: OverTensorView,
    CHANNEL: OverOutputChannelView,
    ROW: OverRowView,
    GROUP: OverOutputChannelView,
}
#: Scales of activations whose number follows from the tensor at hand.
DYNAMIC_SCALING = {ROW: RuntimeDynamicRowStatsScaling, GROUP: RuntimeDynamicStatsScaling}
#: Statistics that average over rows: they need the view per channel, and give one number.
OVER_ROWS = (StatsOp.MAX_AVE, StatsOp.MAX_L2)
#: Dimension of a view ``[rows, elements]`` that a statistic per row reduces.
ROW_REDUCE_DIM = 1


def reduces_rows(scaling_stats_op: Any) -> bool:
    """Whether the statistic, by enum or name, is an average over rows."""
    return member(StatsOp, scaling_stats_op) in OVER_ROWS


class GranularityResolver(ExtendedInjector):
    """Attributes ``scaling_per_output_type``, ``group_dim`` and ``group_size``, of every role."""

    scaling_per_output_type = TENSOR
    #: True for CHANNEL, False for TENSOR; where given, it wins over ``scaling_per_output_type``.
    scaling_per_output_channel: Any = None
    group_size: Any = None
    scaling_stats_permute_dims: Any = None
    permute_dims = this.scaling_stats_permute_dims
    #: Of a scale per row; () where it follows from the tensor at hand.
    per_row_broadcastable_shape: Any = ()

    @value
    def scaling_per_output(scaling_per_output_type: Any, scaling_per_output_channel: Any) -> Any:
        """The granularity, a :class:`qat.enums.ScalingPerOutputType`."""
        if scaling_per_output_channel is None:
            return choice(ScalingPerOutputType, scaling_per_output_type, "scaling_per_output_type")
        return CHANNEL if scaling_per_output_channel else TENSOR

    @value
    def scaling_shape(scaling_per_output: Any) -> Any:
        return SCALING_SHAPE[scaling_per_output]

    @value
    def per_group_shape(module: Any = None) -> Any:
        raise NotImplementedError(
            f"{_name(module)}: scaling_per_output_type is 'group'; scales per group are built for "
            f"weights and activations only: use 'tensor' or 'channel'."
        )

    @value
    def stats_reduce_dim(scaling_per_output: Any, scaling_stats_op: Any = None) -> Any:
        by_row = scaling_per_output is not TENSOR or reduces_rows(scaling_stats_op)
        return ROW_REDUCE_DIM if by_row else None

    @value
    def scaling_stats_input_view_shape_impl(
        scaling_per_output: Any, scaling_stats_op: Any = None
    ) -> Any:
        if scaling_per_output is TENSOR and reduces_rows(scaling_stats_op):
            return OverOutputChannelView
        return VIEW[scaling_per_output]


def in_granularity(quantizer: Any, scaling_per_output: Any) -> Any:
    """What a ``tensor_quant`` is: ``quantizer``, or groups of which each is handed to it."""
    return GroupwiseQuant if scaling_per_output is GROUP else quantizer


def runtime_scaling(
    scaling: type, scaling_impl_type: Any, scaling_per_output: Any, module: Any
) -> Any:
    """``scaling`` for an activation in this granularity.

    Raises:
        ValueError: a number of scales that follows from the tensor, and a scale that is kept.
    """
    if scaling_per_output not in DYNAMIC_SCALING:
        return scaling
    if member(ScalingImplType, scaling_impl_type) is not ScalingImplType.DYNAMIC:
        raise ValueError(
            f"{_name(module)}: scaling_per_output_type is {str(scaling_per_output)!r}, and the "
            f"{scaling_per_output}s of an activation come and go, but scaling_impl_type is "
            f"{str(scaling_impl_type)!r}; use 'dynamic', or another granularity."
        )
    return DYNAMIC_SCALING[scaling_per_output]


class WeightGroups(ExtendedInjector):
    """Groups of a weight: along the input channels, unless ``group_dim`` is given."""

    @value
    def group_dim(output_channel_dim: int) -> int:
        return 1 if output_channel_dim == 0 else 0

    @value
    def per_group_shape(module: Any, tracked_parameter_list: list[Tensor]) -> tuple[int, ...]:
        if len(tracked_parameter_list) > 1:
            raise NotImplementedError(
                f"{_name(module)}: scaling_per_output_type is 'group', but "
                f"{len(tracked_parameter_list)} layers share the quantizer; scales per group that "
                f"are shared are not built: give each layer its own."
            )
        return (tracked_parameter_list[0].shape[0], 1)


def tracked_in(
    granularity: Any, parameters: list[Tensor], module: Any, group_dim: Any, group_size: Any
) -> list[Tensor]:
    """``parameters``, seen as rows where the granularity is GROUP."""
    if granularity is not GROUP:
        return parameters
    check_groups(module, group_dim, group_size, parameters[0].dim())
    return [to_groups(parameter.detach(), group_dim, group_size) for parameter in parameters]


class ActGroups(ExtendedInjector):
    """Groups of an activation: along the channels that the layer behind it sums over."""

    @value
    def group_dim(module: Any = None) -> Any:
        return next((dim for layer, dim in SUMMED_DIM.items() if isinstance(module, layer)), None)

    @value
    def per_group_shape(group_dim: Any, group_size: Any, module: Any = None) -> tuple[int, ...]:
        check_groups(module, group_dim, group_size)
        return (-1, 1)


#: Dimension of the input, with a batch, that a layer sums over.
SUMMED_DIM = {nn.Linear: -1, nn.modules.conv._ConvNd: 1}


def check_groups(module: Any, group_dim: Any, group_size: Any, dims: int | None = None) -> None:
    """Raise ValueError unless groups of ``group_size`` along ``group_dim`` can be made.

    Args:
        module: the layer, for the text.
        dims: number of dimensions of the tensor; None where it is not known.
    """
    if not _is_whole(group_size) or group_size < 1:
        raise ValueError(
            f"{_name(module)}: group_size is {group_size!r}; scaling_per_output_type 'group' needs "
            f"a whole number of at least 1 (32 is common), 'row' is one group per row."
        )
    if not _is_whole(group_dim):
        raise ValueError(
            f"{_name(module)}: group_dim is {group_dim!r}, and no dimension follows from this "
            f"layer; give the one along which groups lie, -1 for the last."
        )
    if dims is not None and not -dims <= group_dim < dims:
        raise ValueError(
            f"{_name(module)}: group_dim is {group_dim}, but the tensor has {dims} dimension(s); "
            f"give one from {-dims} to {dims - 1}."
        )


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _name(module: Any) -> str:
    if isinstance(module, tuple):
        return " and ".join(_name(each) for each in module)
    return "quantizer" if module is None else type(module).__name__
