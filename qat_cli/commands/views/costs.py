"""The costs of a model as a table or as a document."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.engine import Costs, LayerCost

WIDTH, INDENT = 79, 13  # of the lines below the table; of what stands behind their names
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
NAMED = 4  # operations that are not counted, named at most

Column = tuple[str, str, Callable[["LayerCost"], float]]
PARAMETERS: Column = ("params", "", lambda layer: layer.parameters)
PACKED: Column = ("packed", "B", lambda layer: layer.packed_bits / 8)
MACS: Column = ("MACs", "", lambda layer: layer.macs)
BIT_OPERATIONS: Column = ("bit ops", "", lambda layer: layer.bit_operations)


def costs_document(costs: Costs) -> dict[str, Any]:
    """The costs as plain values; sizes in bytes, MACs and bit operations for one image."""
    return {
        "layers": [_layer_document(layer) for layer in costs.layers],
        "parameters": costs.parameters,
        "packed_bytes": costs.packed_bytes,
        "float_bytes": costs.float_bytes,
        "compression": costs.compression,
        "macs": costs.macs,
        "bit_operations": costs.bit_operations,
        "float_bit_operations": costs.float_bit_operations,
        "not_counted": [vars(other) for other in costs.not_counted],
        "not_reached": costs.not_reached,
    }


def show_costs(title: str, costs: Costs, console: Console, with_scales: bool) -> None:
    """Print the table of layers and the totals.

    Args:
        title: stands above.
        costs: of one image.
        console: written to.
        with_scales: show the scales of the weights in place of the numbers of parameters.
    """
    columns = [PACKED, MACS, BIT_OPERATIONS]
    shown = [layer for layer in costs.layers if layer.macs or layer.weight_bits is not None]
    others = [layer for layer in costs.layers if layer not in shown]
    figures = [_figures(column, shown, others) for column in columns]
    if not with_scales:
        figures.insert(0, _figures(PARAMETERS, shown, others))
    names = [layer.name or layer.kind for layer in shown]
    kinds = [layer.kind.removeprefix("Quant") if layer.name else "" for layer in shown]
    blank = [""] * (bool(others) + 1)
    table = [
        ["layer", *names, *([f"{len(others)} others"] if others else []), "total"],
        ["kind", *kinds, *blank],
        ["bits", *map(_bits, shown), *blank],
        *figures,
    ]
    if with_scales:
        table.append(["scales", *map(_scales, shown), *blank])
    headings, *rows = zip(*table, strict=True)
    console.out_table(title, headings, rows)
    show_lines(_totals(costs, others), console)


def show_lines(lines: Iterable[tuple[str, str]], console: Console) -> None:
    """Print a name and a text in each line, folded where the text is long."""
    for name, text in lines:
        for line in textwrap.wrap(
            text,
            WIDTH,
            initial_indent=name.ljust(INDENT),
            subsequent_indent=" " * INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        ):
            console.out(line)


def quantity(value: float, unit: str = "") -> str:
    """Three or more digits with their unit: ``40.8 M``, ``152 kB``."""
    scale, prefix = _unit(value)
    number = value / scale
    digits = max(0, 2 - len(str(int(number))) + 1) if scale > 1 else 0
    return f"{number:.{digits}f} {prefix}{unit}".rstrip()


def _totals(costs: Costs, others: Sequence[LayerCost]) -> list[tuple[str, str]]:
    packed, floats = costs.packed_bytes, costs.float_bytes
    size = f"{quantity(packed, 'B')} packed"
    work = f"{quantity(costs.bit_operations)} per image"
    if packed < floats:
        size += f"; float {quantity(floats, 'B')}, {costs.compression:.1f} times as much"
    if costs.bit_operations < costs.float_bit_operations:
        ratio = costs.float_bit_operations / costs.bit_operations
        work += f"; float {quantity(costs.float_bit_operations)}, {ratio:.0f} times as many"
    lines = [
        ("parameters", f"{costs.parameters:,}"),
        ("size", size),
        ("MACs", f"{quantity(costs.macs)} per image"),
        ("bit ops", work),
        ("bits", "weight x input; bit ops are MACs x weight bits x input bits"),
    ]
    if others:
        lines.append(("others", _counted(layer.kind for layer in others)))
    if costs.not_counted:
        lines.append(("not counted", _not_counted(costs)))
    if costs.not_reached:
        lines.append(("not reached", ", ".join(costs.not_reached)))
    return lines


def _not_counted(costs: Costs) -> str:
    named = [
        f"{other.calls} {other.operation.removeprefix('native_')}"
        for other in costs.not_counted[:NAMED]
    ]
    more = len(costs.not_counted) - len(named)
    return ", ".join([*named, *([f"{more} more kinds"] if more else [])])


def _counted(kinds: Iterable[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).most_common())


def _figures(column: Column, shown: Sequence[LayerCost], others: Sequence[LayerCost]) -> list[str]:
    """Heading with the unit, an entry per row, the sum: aligned at the decimal point."""
    name, unit, value = column
    values = [value(layer) for layer in shown]
    if others:
        values.append(sum(map(value, others)))
    total = sum(values)
    scale, prefix = _unit(max(values, default=0.0))
    entries = [_entry(entry / scale, scale > 1) for entry in [*values, total]]
    heading = f"{name} {prefix}{unit}".rstrip()
    width = max(map(len, [heading, *entries]))
    return [text.rjust(width) for text in (heading, *entries)]


def _entry(number: float, is_scaled: bool) -> str:
    if not is_scaled:
        return f"{number:,.0f}"
    return "<0.01" if 0 < number < 0.005 else f"{number:,.2f}"


def _unit(value: float) -> tuple[float, str]:
    return next((unit for unit in UNITS if value >= unit[0]), UNITS[-1])


def _bits(layer: LayerCost) -> str:
    both = (layer.weight_bits, layer.input_bits)
    return " x ".join("-" if bits is None else f"{bits:.3g}" for bits in both)


def _scales(layer: LayerCost) -> str:
    if layer.scales is None:
        return "-"
    low, high = f"{layer.scales.low:.2g}", f"{layer.scales.high:.2g}"
    return low if low == high else f"{low}..{high}"


def _layer_document(layer: LayerCost) -> Mapping[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "weight_bits": layer.weight_bits,
        "input_bits": layer.input_bits,
        "parameters": layer.parameters,
        "packed_bytes": layer.packed_bits / 8,
        "macs": layer.macs,
        "bit_operations": layer.bit_operations,
        "scales": layer.scales and vars(layer.scales),
    }
