"""The proxy that a layer holds for a quantizer argument.

The argument is a quantizer class, a proxy to share with another layer, or None.
"""

import inspect
from typing import Any, TypeVar

from torch import nn

from qat.inject import ExtendedInjector
from qat.nn.base.checks import (
    check_bit_width,
    check_channels,
    check_group_size,
    check_learned_bit_width,
    check_role,
    located,
)
from qat.proxy import QuantProxy
from qat.quantizers.vocabulary import FIXED, knows, nearest_attribute

P = TypeVar("P", bound=QuantProxy)
Quantizer = type[ExtendedInjector] | QuantProxy | None


def with_prefix(prefix: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments that start with ``prefix``, without it."""
    return {name[len(prefix) :]: item for name, item in kwargs.items() if name.startswith(prefix)}


def accepted_by(float_class: type[nn.Module], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments that ``float_class`` itself takes."""
    known = inspect.signature(float_class.__init__).parameters
    return {name: item for name, item in kwargs.items() if name in known}


def make_proxy(
    layer: nn.Module,
    quant: Quantizer,
    proxy_class: type[P],
    overrides: dict[str, Any],
    argument: str,
    **proxy_arguments: Any,
) -> P:
    """The proxy that ``layer`` holds for ``quant``.

    Args:
        layer: the layer, already holding its parameters.
        quant: an injector (its ``proxy_class`` wins over the one given here), a proxy to share with
            the layer it came from, or None for no quantization.
        proxy_class: class of the role that the quantizer is used in.
        overrides: attributes that replace those of the injector.
        argument: the layer's argument that ``quant`` came as, for the text of errors.
        proxy_arguments: further arguments of the proxy's constructor.
    Raises:
        TypeError: ``quant`` is none of those, or is a proxy of another role; an override that no
            quantizer knows.
        ValueError: overrides for a proxy that is shared, or for no quantizer at all; a scale per
            channel that does not fit the layer's parameter.
    """
    kind = type(layer).__name__
    if isinstance(quant, QuantProxy):
        if not isinstance(quant, proxy_class):
            raise TypeError(
                f"{kind}: {argument} is a {type(quant).__name__}, but here a "
                f"{proxy_class.__name__} is shared."
            )
        if overrides:
            raise ValueError(
                f"{kind}: {argument} is a shared proxy, which {', '.join(sorted(overrides))} "
                f"cannot change; set it where the proxy is made."
            )
        with located(kind, argument):
            if quant.injector is not None:
                check_channels([*quant.tracked_modules, layer], argument, quant.injector)
            quant.add_tracked_module(layer)
        return quant
    if quant is None:
        if overrides:
            raise ValueError(
                f"{kind}: {', '.join(sorted(overrides))} would change a quantizer, but {argument} "
                f"is None; give it one."
            )
        return proxy_class(layer, None, **proxy_arguments)
    if not (isinstance(quant, type) and issubclass(quant, ExtendedInjector)):
        raise TypeError(
            f"{kind}: {argument} is {quant!r}; give a quantizer class such as those of "
            f"qat.quantizers, a proxy of another layer, or None."
        )
    check_role(kind, argument, quant, proxy_class)
    with located(kind, argument):
        injector: Any = quant.let(**overrides)
        check_channels([layer], argument, injector)
        made_by = injector.proxy_class if "proxy_class" in injector else proxy_class
        proxy: P = made_by(layer, injector, **proxy_arguments)
    if "bit_width" in overrides:
        check_bit_width(kind, argument, quant, proxy, overrides["bit_width"])
    if "bit_width_impl_type" in overrides:
        learned = overrides["bit_width_impl_type"]
        check_learned_bit_width(kind, argument, quant, proxy, learned)
    if overrides.get("group_size") is not None:
        check_group_size(kind, argument, injector, overrides["group_size"])
    for name in overrides:
        near = None if knows(quant, name) else nearest_attribute(quant, name)
        # Any other name becomes an attribute, for a proxy or a conditional of the user's to read.
        if name in FIXED or (near is not None and not proxy.has_effect(name)):
            raise TypeError(_misspelt(kind, argument, quant, name, near))
    return proxy


def _misspelt(
    kind: str, argument: str, quant: type[ExtendedInjector], name: str, near: str | None
) -> str:
    prefix = "" if argument == "act_quant" else argument.removesuffix("quant")
    hint = f"did you mean {prefix}{near}?" if near else "leave it out."
    return f"{kind} has no argument {prefix}{name}: {quant.__name__} does not know {name!r}; {hint}"
