"""Checks of a layer's arguments when it is built.

Each error names the layer, the argument, and what to give in its place.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from qat.enums import BitWidthImplType, Role, ScalingImplType, ScalingPerOutputType, choice
from qat.inject import DependencyError, ExtendedInjector
from qat.proxy import QuantProxy
from qat.quantizers.resolve.roles import role_of

#: A quantizer of each role, for error texts.
EXAMPLES = {
    Role.WEIGHT: "Int8WeightPerTensorFloat",
    Role.ACTIVATION: "Int8ActPerTensorFloat",
    Role.BIAS: "Int32Bias",
    Role.TRUNCATED_ACCUMULATOR: "TruncTo8bit",
    Role.CLAMPED_ACCUMULATOR: "ClampTo8bit",
}
#: Read by :func:`check_channels`; a quantizer without one of them is resolved in its own way.
_READ_OF_CHANNELS = ("scaling_per_output", "scaling_shape", "scaling_impl_type", "permute_dims")
_FROM_STATISTICS = (ScalingImplType.STATS, ScalingImplType.PARAMETER_FROM_STATS)
_LOCATED = (ValueError, TypeError, NotImplementedError)


def check_names(kind: str, names: Iterable[str], prefixes: Sequence[str]) -> None:
    """Refuse keyword arguments that belong to no quantizer of a layer.

    Args:
        kind: class name of the layer.
        names: the arguments that the layer itself does not take.
        prefixes: what the attributes of its quantizers start with.
    Raises:
        TypeError: one that starts with none of them.
    """
    unknown = [name for name in names if not name.startswith(tuple(prefixes))]
    if unknown:
        raise TypeError(
            f"{kind} has no argument {', '.join(unknown)}; attributes of its quantizers start "
            f"with {', '.join(prefixes)}."
        )


def check_float_class(kind: str, layer: nn.Module, float_class: type[nn.Module]) -> None:
    """Refuse a float layer that ``kind`` does not quantize.

    Raises:
        TypeError: ``layer`` is of another class than ``float_class``.
    """
    if not isinstance(layer, float_class):
        raise TypeError(
            f"{kind}.from_float takes a {float_class.__name__}, not a {type(layer).__name__}."
        )


def check_role(
    kind: str, argument: str, quant: type[ExtendedInjector], proxy_class: type[QuantProxy]
) -> None:
    """Refuse a quantizer of another role than the one it is given for.

    Args:
        kind: class name of the layer.
        argument: the layer's argument that ``quant`` came as.
        quant: the quantizer; one that derives from no resolver of a role is taken as it is.
        proxy_class: class of the role that it is to be used in.
    Raises:
        TypeError: it is for another role.
    """
    role, expected = role_of(quant), proxy_class.role
    if role is not None and expected is not None and role is not expected:
        raise TypeError(
            f"{kind}: {argument} is {quant.__name__}, a quantizer of role {str(role)!r}; here one "
            f"of role {str(expected)!r} is needed, such as {EXAMPLES[expected]}."
        )


def check_bit_width(
    kind: str, argument: str, quant: type[ExtendedInjector], proxy: QuantProxy, bits: Any
) -> None:
    """Refuse a bit width that the arithmetic has no use for, since it has one of its own.

    Args:
        kind, argument, quant: as for :func:`check_role`.
        proxy: the proxy that was made for ``quant``.
        bits: the bit width asked for.
    Raises:
        ValueError: it is another one than that of the arithmetic.
    """
    own = getattr(proxy.tensor_quant, "bit_width", None)
    if own is None or proxy.has_effect("bit_width"):
        return
    if float(own()) != bits:
        raise ValueError(
            f"{kind}: {argument}: bit_width is {bits}, but {quant.__name__} always has "
            f"{int(own())}; leave it out, or choose an integer quantizer such as "
            f"{_example(proxy)}."
        )


def check_learned_bit_width(
    kind: str, argument: str, quant: type[ExtendedInjector], proxy: QuantProxy, impl_type: Any
) -> None:
    """Refuse a learned bit width where the arithmetic takes none.

    Args:
        kind, argument, quant, proxy: as for :func:`check_bit_width`.
        impl_type: the kind of bit width asked for.
    Raises:
        ValueError: it is learned, and nothing would learn it.
    """
    if proxy.has_effect("bit_width_impl_type"):
        return
    if choice(BitWidthImplType, impl_type, "bit_width_impl_type") is BitWidthImplType.PARAMETER:
        raise ValueError(
            f"{kind}: {argument}: bit_width_impl_type is {str(impl_type)!r}, but "
            f"{quant.__name__} has a fixed number of bits; leave it out, or choose an integer "
            f"quantizer such as {_example(proxy)}."
        )


def check_group_size(kind: str, argument: str, quant: Any, group_size: Any) -> None:
    """Refuse a size of groups for a quantizer of another granularity.

    Args:
        kind, argument: as for :func:`check_role`.
        quant: the quantizer, with the overrides of the layer.
        group_size: the size asked for.
    Raises:
        ValueError: the quantizer has no groups.
    """
    granularity = quant.scaling_per_output if "scaling_per_output" in quant else None
    if granularity not in (None, ScalingPerOutputType.GROUP):
        raise ValueError(
            f"{kind}: {argument}: group_size is {group_size}, but scaling_per_output_type is "
            f"{str(granularity)!r}; set it to 'group', or leave the size out."
        )


def check_channels(
    layers: Sequence[nn.Module], argument: str, quant: type[ExtendedInjector]
) -> None:
    """Refuse a scale per channel of a weight or bias whose statistic is of other channels.

    Args:
        layers: the layers that share the quantizer, in the order of sharing.
        argument: the argument of the last one that it came as: ``"weight_quant"``.
        quant: the quantizer.
    Raises:
        ValueError: the scale and the statistic differ in shape.
    """
    role = argument.removesuffix("_quant")
    parameter = getattr(layers[-1], role, None)
    if not isinstance(parameter, Tensor) or any(name not in quant for name in _READ_OF_CHANNELS):
        return
    bound: Any = quant.let(module=layers[0] if len(layers) == 1 else tuple(layers))
    if bound.scaling_per_output != ScalingPerOutputType.CHANNEL:
        return
    if not _takes_statistics(bound.scaling_impl_type):
        return
    shape, dim = tuple(bound.scaling_shape), (bound.permute_dims or (0,))[0]
    missing = (1,) * (parameter.dim() - len(shape))
    measured = tuple(size if at == dim else 1 for at, size in enumerate(parameter.shape))
    if (*missing, *shape) != measured:
        raise ValueError(
            f"the scale of a {role} of shape {tuple(parameter.shape)} has the shape {shape}, but "
            f"its statistic {measured}, one entry for each of dimension {dim}: leave "
            f"{role}_per_channel_broadcastable_shape out, or give "
            f"{role}_scaling_stats_permute_dims, the dimension of the scale's channels first."
        )


def _takes_statistics(word: Any) -> bool:
    try:
        return ScalingImplType(word) in _FROM_STATISTICS
    except ValueError:  # a row of the reader's own
        return False


def _example(proxy: QuantProxy) -> str:
    return EXAMPLES[proxy.role] if proxy.role is not None else "Int8WeightPerTensorFloat"


@contextmanager
def located(kind: str, argument: str) -> Iterator[None]:
    """Errors raised inside say for which layer and which argument of it.

    In front; or behind the chain of attributes, where one cannot be resolved.
    """
    try:
        yield
    except DependencyError as error:
        raise DependencyError(f"{error}, for {argument} of {kind}") from error
    except _LOCATED as error:
        if type(error) not in _LOCATED or str(error).startswith(f"{kind}: "):
            raise
        raise type(error)(f"{kind}: {argument}: {error}") from error
