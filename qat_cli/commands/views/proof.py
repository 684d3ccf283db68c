"""The proof of an exported file, as tables or as a document."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qat_cli.commands.views.costs import show_lines
from qat_cli.terminal.console import Console

if TYPE_CHECKING:
    from qat_cli.engine import Proven

LEVELS = ("parameters", "reference", "runtime", "torch")


def show_proof(command: str, checkpoint: Path, proven: Proven, console: Console) -> None:
    """Print layers, sizes, comparisons and the next command, or one document under ``--json``."""

    def human() -> None:
        rows = [
            (each.layer, each.kind, each.weight, each.input, each.output, each.runs_as, each.reason)
            for each in proven.layers
        ]
        columns = ("layer", "kind", "weight", "input", "output", "runs as", "why not in integers")
        console.out_table(str(proven.path), columns, rows)
        show_lines(_lines(command, checkpoint, proven), console)
        failed = [row for row in proven.rows if not row.holds]
        if failed:
            console.out_table(
                "differences that are beside no tie",
                ("level", "layer", "what", "compared", "differ", "at ties", "steps"),
                [(r.level, r.layer, r.what, r.compared, r.differing, r.at_ties, r.most)
                 for r in failed],
            )  # fmt: skip

    console.emit(_document(command, checkpoint, proven), human)


def _lines(command: str, checkpoint: Path, proven: Proven) -> Iterable[tuple[str, str]]:
    integer = sum(each.is_integer for each in proven.layers)
    share = proven.bytes / proven.float_bytes
    yield "layers", f"{integer} of {len(proven.layers)} run in integers"
    yield "size", f"{proven.bytes:,} bytes, {share:.3f} of the float parameters"
    for part in proven.kept:
        yield "in float", f"{part.name}: {part.reason}"
    for note in proven.notes:
        yield "note", note
    count, whose = proven.images
    yield "shown", f"{count} images of {whose}"
    for level, name in enumerate(LEVELS):
        for what in dict.fromkeys(row.what for row in proven.rows if row.level == level):
            if level == 0 and what != "weight":
                continue
            yield f"{level} {name}", _counted(proven.rows, level, what)
    moved, of = proven.moved
    yield "biases", f"as integers they move {moved:,} of {of:,} integers by one step"
    yield "answers", f"{proven.differing} of {count} differ between torch and onnxruntime"
    if command == "export":
        words = ["qat", "verify", "--checkpoint", str(checkpoint), "--model-file", str(proven.path)]
        yield "next", shlex.join(words)


def _counted(rows: Iterable[Any], level: int, what: str) -> str:
    chosen = [row for row in rows if row.level == level and (level == 0 or row.what == what)]
    compared, differing = sum(r.compared for r in chosen), sum(r.differing for r in chosen)
    ties, named = sum(r.at_ties for r in chosen), f"{what}: " if what.startswith("onnx") else ""
    if not differing:
        return f"{named}{compared:,} numbers, all equal"
    apart = differing - ties
    verdict = "all beside a tie" if not apart else f"{apart:,} of them beside no tie: FAILED"
    return f"{named}{differing:,} of {compared:,} numbers differ, {verdict}"


def _document(command: str, checkpoint: Path, proven: Proven) -> dict[str, Any]:
    return {
        "command": command,
        "checkpoint": str(checkpoint),
        "file": str(proven.path),
        "bytes": proven.bytes,
        "float_bytes": proven.float_bytes,
        "holds": proven.holds,
        "images": proven.images[0],
        "data": proven.images[1],
        "layers": [{**vars(each), "is_integer": each.is_integer} for each in proven.layers],
        "in_float": [vars(each) for each in proven.kept],
        "notes": list(proven.notes),
        "comparisons": [{**vars(row), "holds": row.holds} for row in proven.rows],
        "moved_by_biases": proven.moved[0],
        "differing_predictions": proven.differing,
    }
