"""Fixtures of components: the backend under test, float types, gradients."""

import pytest
import torch

from qat import jit

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.fixture
def built(backend):
    """A function that takes a component and gives it as the backend under test runs it."""

    def build(module):
        return jit.script(module) if backend == "jit" else module

    return build


@pytest.fixture(params=DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def dtype(request):
    return request.param


@pytest.fixture
def dtypes(backend):
    """All float types; float32 in scripted code, which is the same for all of them."""
    return [torch.float32] if backend == "jit" else DTYPES


@pytest.fixture
def gradient():
    """A function: the gradient of ``sum(weights * f(x))`` to ``x``, for weights 1, 2, 3, ..."""

    def compute(function, x):
        x = x.detach().clone().requires_grad_()
        y = function(x)
        weights = torch.arange(1, y.numel() + 1, dtype=y.dtype).reshape(y.shape)
        (weights * y).sum().backward()
        return x.grad / weights if x.shape == y.shape else x.grad

    return compute
