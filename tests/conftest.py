"""Fixtures of all tests: seeds, backends, devices."""

import random

import pytest


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state, whichever ran before it."""
    import torch

    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def toolchain():
    """Skip, with the reason, where this machine cannot compile C++."""
    from qat.ops.native import toolchain as native_toolchain

    try:
        native_toolchain.find_compiler()
        native_toolchain.find_ninja()
    except native_toolchain.NativeBuildError as error:
        pytest.skip(f"needs the native backend: {error}")


@pytest.fixture(params=["python", "native", "jit"])
def backend(request, monkeypatch):
    """Run the test once with Python ops, once with C++ ops, once with the JIT (C++ ops too)."""
    from qat import config, jit

    if request.param != "python":
        request.getfixturevalue("toolchain")
    if request.param == "jit" and not jit.is_available():
        pytest.skip("this torch has no TorchScript, or PYTORCH_JIT=0 turns it off")
    monkeypatch.setattr(config, "JIT_ENABLED", request.param == "jit")
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", request.param != "python")
    return request.param


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    """Run the test once per device; those that this machine lacks are skipped."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA device")
    return torch.device(request.param)
