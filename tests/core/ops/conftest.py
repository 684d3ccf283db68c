"""Both backends; the native one needs a compiler and ninja."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import qat
from qat import config, ops
from qat.ops.native import toolchain as native_toolchain


@pytest.fixture(scope="session")
def toolchain():
    """Skip, with the reason, where this machine cannot compile C++."""
    try:
        native_toolchain.find_compiler()
        native_toolchain.find_ninja()
    except native_toolchain.NativeBuildError as error:
        pytest.skip(f"needs the native backend: {error}")


@pytest.fixture
def use_backend(monkeypatch, request):
    """A function that makes the named backend the active one for the length of a test."""

    def use(name: str) -> None:
        if name == "native":
            request.getfixturevalue("toolchain")
        monkeypatch.setattr(config, "JIT_ENABLED", False)
        monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", name == "native")
        assert ops.active_backend() == name, ops.backend_report()

    return use


@pytest.fixture(params=["python", "native"])
def backend(request, use_backend):
    """Run the test once per backend."""
    use_backend(request.param)
    return request.param


@pytest.fixture
def run_program():
    """A function that runs Python code in a new process, without this one's flags."""
    source_root = str(Path(qat.__file__).resolve().parents[1])

    def start(code: str, **variables: str) -> subprocess.Popen:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("QAT_", "BREVITAS_"))}
        return subprocess.Popen(
            [sys.executable, "-W", "always", "-c", code],
            env={**clean, "PYTHONPATH": source_root, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
