"""``architecture.md``: the floors, a picture, and two walks."""

import ast
from pathlib import Path

from tools.docs.architecture.imports import PACKAGES, ROOT, imports, levels, parts
from tools.docs.architecture.picture import direct
from tools.docs.architecture.walks import both_walks
from tools.docs.markdown import cell, table

INTRODUCTION = """\
# How the code is laid out

<!-- Made by `make docs` from the imports and the calls of the code; do not edit. -->

Two packages and a folder of kernels. `qat`, in `core/qat`, is the library: quantizers, layers,
conversion of models. `qat_cli` is the command line application on top of it, and `csrc` holds the
C++ kernels of the library's ops. The library never imports the application.

A file imports from its own floor or from floors below, and no folder holds more than twenty files;
`tests/core/test_structure.py` checks both. The tables list the parts from top to bottom, each one
floor above the highest part that it imports. In the picture a line leads from a part to what it
imports, unless a detour leads there too.

![parts and imports](architecture.svg)
"""
LAYER = """\
## From a layer to the kernel

The files that `QuantConv2d.forward` enters in training before the kernel that quantizes its input,
with the Python backend. With the native one, `ops/native/backend.py` leads to `csrc/fake_quantize`
in place of `ops/reference`. The weight goes the same way, from `proxy/weight.py` on.
"""
TRAINING = """\
## From the command to the first step

The files that `qat train --recipe binary_resnet` enters before the first optimizer step. Those of
`main.py`, `app`, `commands` and `engine` are the walk itself; the other parts are called for an
answer, a recipe or a data set, and left again.
"""


def page() -> str:
    """The whole text."""
    tables = [f"## The floors of `{package}`\n\n{_floors(package)}" for package in PACKAGES]
    layer, training = both_walks()
    walks = [f"{LAYER}\n{_steps(layer)}", f"{TRAINING}\n{_steps(training)}"]
    return "\n".join([INTRODUCTION, *tables, *walks])


def _floors(package: str) -> str:
    graph = imports(package)
    level = levels(graph)
    below = direct(graph)
    ordered = sorted(parts(package), key=lambda part: (-level[part.name], part.name))
    return table(
        {
            "floor": [str(level[part.name]) for part in ordered],
            "part": [f"`{_short(part.name)}`" for part in ordered],
            "what it is": [cell(part.summary) for part in ordered],
            "stands on": [
                ", ".join(f"`{_short(name)}`" for name in sorted(below[part.name])) or "-"
                for part in ordered
            ],
        }
    )


def _short(part: str) -> str:
    return part.partition(".")[2]


def _steps(files: list[str]) -> str:
    return "".join(
        f"{number}. `{file}`: {cell(_first_line(ROOT / file))}\n"
        for number, file in enumerate(files, start=1)
    )


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ")
