"""The page on models: what converts, what stays in float."""

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks" / "models.json"
TEXT = Path(__file__).with_name("models_text.md")


def page() -> str:
    """The text of ``docs/models.md``."""
    results: list[dict[str, Any]] = json.loads(RESULTS.read_text())
    largest = max(result["difference"] for result in results)
    difference = "0" if largest == 0 else f"at most {largest:.0e}"
    rows = "\n".join(map(_row, results))
    return f"{TEXT.read_text().replace('DIFFERENCE', difference)}{rows}\n"


def _row(result: dict[str, Any]) -> str:
    found, others = (_range(result[key]) for key in ("decibels", "independent"))
    kinds = dict.fromkeys(
        match.group(1)
        for note in result["notes"]
        if (match := re.match(r"in float: (\w+) in ", note)) is not None
    )
    layers, quantized = result["layers"], result["quantized"]
    cells = (result["name"], layers, quantized, ", ".join(kinds) or "-", found, others)
    return f"| {' | '.join(map(str, cells))} |"


def _range(decibels: dict[str, float]) -> str:
    low, high = min(decibels.values()), max(decibels.values())
    return f"{low:.1f}" if high - low < 0.05 else f"{low:.1f} to {high:.1f}"
