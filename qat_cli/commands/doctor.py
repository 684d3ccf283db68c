"""``qat doctor``: this machine as the program finds it."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from qat_cli.app.options import JsonOption
from qat_cli.terminal.console import Console
from qat_cli.versions import package_version, program_version

PACKAGES = ("torch", "torchvision", "dependencies", "pydantic", "safetensors", "scikit-learn")


def doctor(
    build: Annotated[
        bool, typer.Option("--build", help="Build the native (C++) backend now, and time it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show what the program finds on this machine.

    Python, torch, GPU, compiler, ninja, which backend is active and why, the flags and where each
    was read from, the cache folder, threads.
    """
    console = Console(json)
    document = examine(build)
    console.emit(document, lambda: _print(document, console))


def examine(build: bool = False) -> dict[str, Any]:
    """Collect what ``qat doctor`` shows, as plain dicts, lists, strings and numbers.

    Args:
        build: also build (or load from the cache) the native backend; adds the key ``build``.
    """
    import torch

    from qat import config, ops

    document: dict[str, Any] = {
        "qat": program_version(),
        "python": {"version": platform.python_version(), "path": sys.executable},
        "platform": {"system": platform.platform(), "cpus": os.cpu_count()},
        "packages": {name: package_version(name) for name in PACKAGES},
        "cuda": _cuda(),
        "compiler": _compiler(),
        "ninja": _ninja(),
        "threads": {
            "intra_op": torch.get_num_threads(),
            "inter_op": torch.get_num_interop_threads(),
        },
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is part of the report
        if build:
            document["build"] = _build()
        document["backend"] = asdict(ops.backend_report())
        document["quantizers"] = _quantizers()
    document["training"] = _training(document)
    document["flags"] = [asdict(source) for source in config.flag_sources().values()]
    document["cache"] = _cache()
    return document


def _cuda() -> dict[str, Any]:
    import torch

    if torch.version.cuda is None:
        return {"available": False, "devices": [], "reason": "this torch is built without CUDA"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if available:
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return {"available": True, "devices": names, "reason": f"CUDA {torch.version.cuda}"}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    reason = f"torch is built for CUDA {torch.version.cuda}, but finds no GPU"
    if visible is not None:
        reason += f" (CUDA_VISIBLE_DEVICES={visible!r})"
    if caught:
        reason += f": {str(caught[0].message).splitlines()[0]}"
    return {"available": False, "devices": [], "reason": reason}


def _compiler() -> dict[str, Any]:
    from qat.ops.native.build import NativeBuildError, find_compiler

    try:
        found = find_compiler()
    except NativeBuildError as error:
        return {"path": None, "version": None, "reason": str(error)}
    program = shlex.split(found.command)[0]
    return {"path": shutil.which(program) or program, "version": found.version, "reason": None}


def _ninja() -> dict[str, Any]:
    from qat.ops.native.build import NativeBuildError, find_ninja

    try:
        path = find_ninja()
    except NativeBuildError as error:
        return {"path": None, "version": None, "reason": str(error)}
    return {"path": path, "version": _first_line([path, "--version"]), "reason": None}


def _quantizers() -> str:
    """How a quantizer of standard parts computes: ``fused`` or ``composed``."""
    from qat.nn import QuantReLU
    from qat.proxy import describe

    quantizer = QuantReLU().act_quant.tensor_quant
    assert quantizer is not None
    return describe(quantizer)


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().partition("\n")[0] or None


def _training(document: dict[str, Any]) -> dict[str, Any]:
    """What ``--backend auto`` gives here; nothing is built to find out."""
    from qat_cli.engine.machine.backend import flags_from_environment

    variables = ", ".join(flags_from_environment())
    missing = [tool["reason"] for tool in (document["compiler"], document["ninja"])]
    missing = [reason for reason in missing if reason]
    if variables:
        active = document["backend"]["active"]
        return {"backend": active, "reason": f"the environment decides ({variables})"}
    if document["cuda"]["available"]:
        return {"backend": "python", "reason": "auto, on the GPU"}
    if missing:
        return {"backend": "python", "reason": f"auto, {'; '.join(missing)}"}
    return {"backend": "native", "reason": "auto, C++ compiled on first use"}


def _cache() -> dict[str, Any]:
    from qat.ops.native.build import cache_folders

    folder = cache_folders()[0]
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return {"folder": str(folder), "writable": os.access(existing, os.W_OK)}


def _build() -> dict[str, Any]:
    from qat.ops.native import load as native

    started = time.perf_counter()
    result = native.load()
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "library": str(result.library) if result.library else None,
        "failure": result.failure or None,
    }


def _print(document: dict[str, Any], console: Console) -> None:
    rows = [(what, line(document)) for what, line in LINES.items() if what in document]
    console.out_table("", ("", "found"), rows)
    console.out("")
    flags = [(f["variable"], str(f["value"]).lower(), f["origin"]) for f in document["flags"]]
    console.out_table("", ("flag", "value", "read from"), flags)


def _tool(tool: dict[str, Any]) -> str:
    if tool["path"] is None:
        return f"none: {tool['reason']}"
    return f"{tool['version'] or 'does not run'} ({tool['path']})"


def _build_line(build: dict[str, Any]) -> str:
    if build["library"] is None:
        return f"failed after {build['seconds']} s: {build['failure']}"
    return f"native library ready after {build['seconds']} s: {build['library']}"


LINES: dict[str, Callable[[dict[str, Any]], str]] = {
    "qat": lambda d: d["qat"],
    "python": lambda d: f"{d['python']['version']} ({d['python']['path']})",
    "platform": lambda d: f"{d['platform']['system']}, {d['platform']['cpus']} CPUs",
    "packages": lambda d: ", ".join(f"{k} {v or 'missing'}" for k, v in d["packages"].items()),
    "cuda": lambda d: "; ".join([*d["cuda"]["devices"], d["cuda"]["reason"]]),
    "compiler": lambda d: _tool(d["compiler"]),
    "ninja": lambda d: _tool(d["ninja"]),
    "backend": lambda d: f"{d['backend']['active']}: {d['backend']['reason']}",
    "training": lambda d: f"{d['training']['backend']}: {d['training']['reason']}",
    "quantizers": lambda d: f"{d['quantizers']} where their parts are standard, else composed",
    "build": lambda d: _build_line(d["build"]),
    "cache": lambda d: d["cache"]["folder"] + ("" if d["cache"]["writable"] else " (not writable)"),
    "threads": lambda d: f"{d['threads']['intra_op']} per operation",
}
