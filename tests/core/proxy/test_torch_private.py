"""Recorders are seen; a torch that moves a name fails here."""

import contextlib

import pytest
import torch
import torch.nn.modules.module as torch_module
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from qat.proxy.torch_private import has_gradient_hooks, nothing_records


def test_plain_code_is_recorded_by_nobody():
    assert nothing_records()
    with torch.no_grad(), torch.autocast("cpu"):
        assert nothing_records()
    with torch.inference_mode():
        assert nothing_records()


@contextlib.contextmanager
def hooks_of_all_modules():
    handle = torch_module.register_module_forward_hook(lambda *_: None)
    yield
    handle.remove()


CONTEXTS = {
    "dispatch mode": lambda: FlopCounterMode(display=False),
    "forward gradients": forward_ad.dual_level,
    "hooks of all modules": hooks_of_all_modules,
    "saved tensors": lambda: torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x),
    "saved tensors on the processor": torch.autograd.graph.save_on_cpu,
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_context_that_records_is_seen_and_left(name):
    with CONTEXTS[name]():
        assert not nothing_records()
    assert nothing_records()


TRANSFORMS = {
    "vmap": lambda f: torch.vmap(f),
    "grad": lambda f: torch.func.grad(lambda x: f(x).sum()),
    "functionalize": torch.func.functionalize,
    "make_fx": lambda f: make_fx(f)(torch.ones(2)),
    "checkpoint": lambda f: lambda x: checkpoint(f, x, use_reentrant=False),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_of_a_function_is_seen_inside(name):
    seen = []

    def function(x):
        seen.append(nothing_records())
        return x * 2

    TRANSFORMS[name](function)(torch.ones(2, requires_grad=True))
    assert seen and not any(seen)
    assert nothing_records()


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:FutureWarning")
def test_tracing_for_torchscript_is_seen():
    seen = []

    def function(x):
        seen.append(nothing_records())
        return x * 2

    torch.jit.trace(function, torch.ones(2), check_trace=False)
    assert seen == [False]


def test_hooks_of_a_tensor_are_seen():
    x = torch.ones(2, requires_grad=True)
    assert not has_gradient_hooks(x)
    handle = x.register_hook(lambda grad: grad)
    assert has_gradient_hooks(x)
    handle.remove()
    assert not has_gradient_hooks(x)
