"""What a layer says when a quantizer can not be built for it: which layer, which argument, what."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qat.inject import DependencyError, ExtendedInjector
from qat.proxy import (
    ActQuantProxyFromInjector,
    BiasQuantProxyFromInjector,
    ClampQuantProxyFromInjector,
    QuantProxy,
    TruncQuantProxyFromInjector,
    WeightQuantProxyFromInjector,
)
from qat.quantizers.role_table import role_of

#: What a proxy quantizes, and a quantizer for it.
EXAMPLES: dict[type[QuantProxy], tuple[str, str]] = {
    WeightQuantProxyFromInjector: ("weight", "Int8WeightPerTensorFloat"),
    ActQuantProxyFromInjector: ("activation", "Int8ActPerTensorFloat"),
    BiasQuantProxyFromInjector: ("bias", "Int32Bias"),
    TruncQuantProxyFromInjector: ("truncated accumulator", "TruncTo8bit"),
    ClampQuantProxyFromInjector: ("clamped accumulator", "ClampTo8bit"),
}
_LOCATED = (ValueError, TypeError, NotImplementedError, DependencyError)


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
    role = role_of(quant)
    expected, example = EXAMPLES.get(proxy_class, (role, ""))
    if role is not None and role != expected:
        raise TypeError(
            f"{kind}: {argument} is {quant.__name__}, a quantizer of role {role!r}; here one of "
            f"role {expected!r} is needed, such as {example}."
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


def _example(proxy: QuantProxy) -> str:
    return next(example for role, (_, example) in EXAMPLES.items() if isinstance(proxy, role))


@contextmanager
def located(kind: str, argument: str) -> Iterator[None]:
    """Errors raised inside say for which layer and which argument of it, in front."""
    try:
        yield
    except _LOCATED as error:
        if type(error) not in _LOCATED or str(error).startswith(f"{kind}: "):
            raise
        raise type(error)(f"{kind}: {argument}: {error}") from error
