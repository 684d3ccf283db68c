"""The quantized module for one place, as the rules chose it."""

from collections.abc import Callable
from typing import Any

from torch import nn

from qat.enums import Site
from qat.graph.layers import ACTIVATION_LAYERS, WEIGHT_LAYERS, Activation
from qat.graph.quantizer import injector_for
from qat.graph.rules import Decision, QuantizerChoice
from qat.graph.sites import weight_layer_class
from qat.inject import DependencyError
from qat.nn import QuantHardTanh, QuantIdentity
from qat.nn.activation import QuantActivation
from qat.nn.base.quantized_weight import QuantizedWeight
from qat.proxy import QuantProxy


def build_weight_layer(
    name: str, layer: nn.Module, decision: Decision, input_on_grid: bool
) -> QuantizedWeight:
    """The quantized layer in place of ``layer``, with the same parameters.

    An input quantizer is left out where the input lies on a grid already.
    """
    float_class: Any = weight_layer_class(layer)
    quantized = WEIGHT_LAYERS[float_class]
    sites = list(quantized.sites)
    if getattr(layer, "bias", None) is None and Site.BIAS in sites:
        sites.remove(Site.BIAS)
    if input_on_grid and Site.INPUT in sites:
        sites.remove(Site.INPUT)
    quantizers: dict[str, Any] = {"weight_quant": None}
    for site in sites:
        choice = decision.choice(site)
        if choice is not None:
            quantizers[f"{site}_quant"] = named_injector(name, site, choice)
    built = built_or_named(name, lambda: quantized.from_float(layer, **quantizers))
    for site in sites:
        check_effect(name, site, decision.choice(site), built.proxies()[site])
    return built


def build_activation(
    name: str, activation: Activation, module: nn.Module, decision: Decision
) -> nn.Module:
    """The module in place of an activation function; ``module`` computes it in float."""
    choice = decision.choice(Site.ACTIVATION)
    function = decision.activation_function if activation.relu_like else "keep"
    signed = activation.signed if function == "keep" else True
    if choice is None:
        return {"keep": module, "identity": nn.Identity(), "hardtanh": nn.Hardtanh()}[function]
    injector: Any = named_injector(name, Site.ACTIVATION, choice)
    if signed and "signed" not in choice.overrides and injector.signed is False:
        injector = injector.let(signed=True)
    built = built_or_named(name, lambda: _quantized_activation(function, module, injector))
    check_effect(name, Site.ACTIVATION, choice, built.act_quant)
    return built


def _quantized_activation(function: str, module: nn.Module, injector: Any) -> QuantActivation:
    if function == "identity":
        return QuantIdentity(injector)
    if function == "hardtanh":
        return QuantHardTanh(injector)
    quantized = ACTIVATION_LAYERS.get(type(module))
    if quantized is None:
        return QuantActivation(module, injector)
    return quantized.from_float(module, injector)


def check_effect(name: str, site: Site, choice: QuantizerChoice | None, proxy: QuantProxy) -> None:
    """Refuse attributes that the quantizer does not use as it is set; ``name`` is the layer's.

    Raises:
        ValueError: names layer, site and attributes.
    """
    if choice is None:
        return
    without = [key for key in choice.overrides if not proxy.has_effect(key)]
    if without:
        raise ValueError(
            f"{site} of layer {name!r}: {choice.quantizer} as it is set here does not use "
            f"{', '.join(without)}; leave it out or choose another quantizer."
        )


def named_injector(name: str, site: Site, choice: QuantizerChoice) -> Any:
    """The injector of ``choice``; an error names the layer."""
    try:
        return injector_for(choice, site)
    except ValueError as error:
        raise ValueError(f"{site} of layer {name!r}: {error}") from error


def built_or_named(name: str, build: Callable[[], Any]) -> Any:
    """The result of ``build``; an error names the layer."""
    try:
        return build()
    except (ValueError, TypeError, DependencyError) as error:
        raise ValueError(f"layer {name!r}: {error}") from error
