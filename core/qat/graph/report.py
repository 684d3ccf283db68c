"""Report of a conversion: one row per layer, notes on the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from qat.enums import QuantType, Site
from qat.graph.layers import WEIGHT_LAYERS
from qat.graph.rules import Rule
from qat.proxy import QuantProxy
from qat.quantizers import ready_made

_NAMED = 6  # layers that one error lists


@dataclass(frozen=True)
class LayerReport:
    """One row of the table of what is quantized how.

    Args:
        name: dotted name of the module in the converted model.
        kind: class of the module, or name of the function.
        weight, input, activation: bits and quantizer, ``"float"``, or ``"-"`` where there is none.
        note: what else is to be known of the row.
    """

    name: str
    kind: str
    weight: str
    input: str
    activation: str
    note: str = ""


@dataclass(frozen=True)
class Quantized:
    """A converted model with the account of its conversion.

    Args:
        model: the converted model; shares its parameters with the float one.
        layers: one row per place that a quantizer can have, in the order of execution.
        notes: what stays in float, or why the model does not trace.
    """

    model: nn.Module
    layers: list[LayerReport]
    notes: list[str]


def describe(proxy: QuantProxy) -> str:
    """``"4 bit Int8WeightPerChannelFloatMSE"``, or ``"float"`` without a quantizer."""
    if not proxy.is_quant_enabled or proxy.injector is None:
        return "float"
    if proxy.has_own_scale():
        bits = int(proxy.bit_width())  # type: ignore[arg-type]
    else:
        bits = proxy.quant_injector.bit_width
    name = proxy.injector.__name__
    sign = " signed" if proxy.is_signed and name.startswith("Uint") else ""
    return f"{bits} bit{sign} {name}"


def weight_row(name: str, kind: str, proxies: Mapping[Site, QuantProxy], note: str) -> LayerReport:
    """The row of a layer with a weight."""
    shown = {site: describe(proxy) for site, proxy in proxies.items() if proxy.is_quant_enabled}
    notes = [note] if note else []
    if Site.BIAS in shown:
        notes.append(f"bias {shown[Site.BIAS]}")
    return LayerReport(
        name,
        kind,
        shown.get(Site.WEIGHT, "float"),
        shown.get(Site.INPUT, "-"),
        shown.get(Site.OUTPUT, "-"),
        ", ".join(notes),
    )


def refuse_nothing(model: nn.Module, rules: Sequence[Rule], layers: Sequence[LayerReport]) -> None:
    """Refuse a conversion in which rules name a quantizer of weights, and no weight has one.

    Args:
        model: in float.
        rules: those of the conversion.
        layers: the table of what became of ``model``.
    Raises:
        ValueError: names the layers that hold matrices, each with the reason.
    """
    wanted = [rule.label for rule in rules if _quantizes_weights(rule)]
    if not wanted or any(layer.weight not in ("float", "-") for layer in layers):
        return
    reasons = [
        f"{name or 'the model itself'} ({type(part).__name__}): {reason}"
        for name, part in model.named_modules()
        if (reason := _why_in_float(part)) is not None
    ]
    if not reasons:  # nothing to quantize: no matrix among its parameters
        return
    left_out = [f"and {len(reasons) - _NAMED} more"] if len(reasons) > _NAMED else []
    raise ValueError(
        f"{wanted[0]} names a quantizer of weights, but no weight of the model has one. "
        f"{'; '.join([*reasons[:_NAMED], *left_out])}. Give such layers their plain weights "
        "(remove weight norm, pruning masks and other parametrizations), use layers of torch.nn, "
        "or leave the quantizer of weights out."
    )


def _quantizes_weights(rule: Rule) -> bool:
    choice = rule.choices.get(Site.WEIGHT)
    if choice is None or choice.quantizer is None:
        return False
    quantizer: Any = ready_made(choice.quantizer)  # some are there to quantize nothing
    return "quant_type" not in quantizer or quantizer.quant_type != QuantType.FP


def _why_in_float(part: nn.Module) -> str | None:
    """Why no matrix of ``part`` is quantized; None where it holds none itself."""
    parametrized = part._modules.get("parametrizations")
    if parametrized is not None:
        return f"{', '.join(dict(parametrized.named_children()))} computed by a parametrization"
    matrices = [n for n, p in part.named_parameters(recurse=False) if p.dim() > 1]
    if not matrices:
        return None
    if not isinstance(part, tuple(WEIGHT_LAYERS)):
        return f"{', '.join(matrices)} used in a way that is not known"
    if "weight" not in matrices:
        return f"weight computed from {', '.join(matrices)}"
    return "left in float by the rules, or not called as a layer"
