"""Report of a conversion: one row per layer, notes on the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from qat.enums import Site
from qat.proxy import QuantProxy


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
