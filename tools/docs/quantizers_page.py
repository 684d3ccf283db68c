"""Page ``quantizers.md``: the catalogue of the ready-made quantizers."""

import re
from collections.abc import Iterable

from tools.docs.catalog import ARITHMETIC, Entry, arithmetic_of, catalog
from tools.docs.markdown import cell, table, wrapped

INTRODUCTION = """\
# Ready-made quantizers

<!-- Made by `make docs` from the declarations in core/qat/quantizers; do not edit. -->

Every class of `qat.quantizers`, in words that are computed from its declaration. Each is a starting
point: any attribute can be replaced, as a keyword with the role in front on a layer
(`QuantLinear(16, 4, weight_quant=Int8WeightPerTensorFloat, weight_bit_width=4)`), or by
`.let(bit_width=4)` on the quantizer. A quantizer of your own is described in
[extending.md](extending.md); what a Brevitas name became, in [porting.md](porting.md).

## Formulas

`x` is what is quantized (a weight `w`, a bias `b`), `y` what comes out, in the same shape; `s` is
the scale, the real width of one step; `z` the zero point, the integer that 0 maps to (0 unless the
table says otherwise); `q` an integer from `qmin` to `qmax`. Halves round to even.

| integers of b bits | qmin | qmax |
|---|---|---|
| signed | -2^(b-1) | 2^(b-1) - 1 |
| signed narrow | -2^(b-1) + 1 | 2^(b-1) - 1 |
| unsigned | 0 | 2^b - 1 |
| unsigned narrow | 0 | 2^b - 2 |

The tables below say, under "per", what has one scale: the tensor, each channel, a group of
neighbours; and under "scale" what real range is covered, the threshold. The scale is that range
divided by the number of steps, `s = threshold / max(|qmin|, |qmax|)`; for a power of two
`s = threshold / 2^(b-1)` (signed) or `threshold / 2^b` (unsigned); with a zero point
`s = threshold / (2^b - 1)`; of a minifloat `s = threshold / max_value`. It is never below the
smallest normal number, so that zeros stay zeros. Binary and ternary quantizers take it as it is.
"""


def page() -> str:
    """The whole text."""
    entries = catalog()
    parts = [INTRODUCTION, *_formulas(entries)]
    for family in dict.fromkeys(each.family for each in entries):
        members = [each for each in entries if each.family == family]
        parts.append(f"## {_heading(family)}\n\n{_about(members)}{_family_table(members)}")
    return "\n".join(parts)


def _heading(family: str) -> str:
    words = re.split("[:;]", family.removeprefix("Ready-made "))[0]
    return words[:1].upper() + words[1:]


def _formulas(entries: Iterable[Entry]) -> Iterable[str]:
    used = {each.arithmetic for each in entries}
    for name in [*(name for name in ARITHMETIC if name in used), *sorted(used - set(ARITHMETIC))]:
        arithmetic = arithmetic_of(name)
        parts = [f"### {_heading(arithmetic.title)}", _formula(arithmetic.formula)]
        if arithmetic.gradient:
            parts.append(wrapped(f"Gradient: {arithmetic.gradient}"))
        yield "\n\n".join(parts) + "\n"


def _formula(text: str) -> str:
    return wrapped(text) if "``" in text else f"    {text}"


def _about(entries: list[Entry]) -> str:
    """What the module says of its quantizers, and where they are all from."""
    paragraphs = [
        wrapped(" ".join(text.split())) for text in entries[0].about.split("\n\n") if text
    ]
    if (source := _common_source(entries)) is not None:
        paragraphs.append(wrapped(f"Source: {source}."))
    return "".join(f"{each}\n\n" for each in paragraphs)


def _common_source(entries: list[Entry]) -> str | None:
    sources = {each.source for each in entries}
    return sources.pop() if len(sources) == 1 and sources != {""} else None


def _family_table(entries: list[Entry]) -> str:
    columns = {
        "quantizer": [f"`{each.name}`" for each in entries],
        "format": [cell(each.format) for each in entries],
        "per": [cell(each.granularity) for each in entries],
        "scale": [cell(each.scale) for each in entries],
        "zero point": [cell(each.zero_point) for each in entries],
        "formula": [_link(arithmetic_of(each.arithmetic).title) for each in entries],
        "source": [cell(each.source) for each in entries],
    }
    if all(each.zero_point == "0" for each in entries):
        del columns["zero point"]
    if _common_source(entries) is not None or not any(each.source for each in entries):
        del columns["source"]
    return table(columns)


def _link(title: str) -> str:
    return f"[{title}](#{title.lower().replace(' ', '-').replace(',', '')})"
