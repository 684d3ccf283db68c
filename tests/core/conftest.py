"""Flags of the library as if no variable were set."""

import pytest
import torch

from qat import config


@pytest.fixture(autouse=True)
def default_state_dict_flags(monkeypatch):
    monkeypatch.setattr(config, "IGNORE_MISSING_KEYS", False)
    monkeypatch.setattr(config, "REINIT_ON_STATE_DICT_LOAD", True)


@pytest.fixture
def without_jit(monkeypatch):
    """Quantizers are plain Python modules, on Python ops."""
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    monkeypatch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", False)


@pytest.fixture
def compiler(monkeypatch):
    """``torch.compile`` without what other tests left in it, and without TorchScript."""
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
