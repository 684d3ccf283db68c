"""Files that two walks through the code enter, in order.

From the forward pass of a quantized convolution to the kernel, and from ``qat train`` to its first
optimizer step. Files are entered where one of their functions is called; code that runs at import
is not counted.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from tools.docs.architecture.imports import PACKAGES, ROOT

RECIPE = "binary_resnet"


class Arrived(BaseException):
    """The end of the walk; no handler of the program's own catches it."""


def files_entered(package: str, walk: Callable[[], object], until: str) -> list[str]:
    """Paths, relative to the repository, of the files of ``package`` that ``walk`` enters.

    Args:
        until: end of the path of the file, or of its folder, in which the walk is over.
    """
    folder = str(PACKAGES[package]) + os.sep
    seen: dict[str, None] = {}

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(folder) or _is_importing(frame):
            return
        path = Path(code.co_filename).relative_to(ROOT)
        seen.setdefault(str(path))
        if str(path).endswith(until) or str(path.parent).endswith(until):
            sys.setprofile(None)
            raise Arrived

    sys.setprofile(note)
    try:
        walk()
    except Arrived:
        pass
    finally:
        sys.setprofile(None)
    return list(seen)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def both_walks() -> tuple[list[str], list[str]]:
    """Both walks, in a fresh interpreter: what a process has cached is not entered again."""
    code = "import json; from tools.docs.architecture.walks import layer_walk, training_walk; "
    code += "print(json.dumps([layer_walk(), training_walk()]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    layer, training = json.loads(done.stdout.splitlines()[-1])
    return layer, training


def layer_walk() -> list[str]:
    """Files of ``qat`` from the forward pass of a 4-bit convolution to the first kernel."""
    from qat.nn import QuantConv2d
    from qat.quantizers import Int8ActPerTensorFloat

    layer = QuantConv2d(
        4,
        4,
        3,
        weight_bit_width=4,
        weight_scaling_impl_type="parameter_from_stats",
        weight_scaling_per_output_channel=True,
        input_quant=Int8ActPerTensorFloat,
        input_bit_width=4,
        input_scaling_init=1.0,
        input_scaling_impl_type="parameter",
    )
    x = torch.linspace(-1, 1, 4 * 64).reshape(1, 4, 8, 8)
    layer(x)  # the first call may prepare what later ones use
    return files_entered("qat", lambda: layer(x), until="ops/reference")


def training_walk() -> list[str]:
    """Files of ``qat_cli`` entered from ``qat train`` to the first step."""
    from qat_cli.main import app

    def train() -> None:
        app(["train", "--recipe", RECIPE, "--backend", "python"], standalone_mode=False)

    with _empty_folder(), contextlib.redirect_stderr(io.StringIO()):
        return files_entered("qat_cli", train, until="run/loop.py")


@contextlib.contextmanager
def _empty_folder() -> Iterator[None]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
