"""Private state of torch: whether anybody records what is computed.

torch has no public way to ask. ``tests/core/proxy/test_torch_private.py`` fails with a version that
moves one of these names, or records in another way.
"""

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_module


def nothing_records() -> bool:
    """Whether calls are plain eager ones, seen by nobody but autograd.

    Not inside transforms of functions (``vmap``, ``jvp``), dispatch modes, ``torch.jit.trace``,
    forward gradients, where hooks watch all modules, or where tensors saved for backward are
    watched: checkpointing counts them, and fails unless there are as many again.
    """
    return not (
        torch._C._functorch.maybe_current_level() is not None
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
        or torch_module._has_any_global_hook()
        or torch._C._autograd._top_saved_tensors_default_hooks(False) is not None
    )


def is_traced_by_torchscript() -> bool:
    """Whether ``torch.jit.trace`` records the call."""
    return torch._C._get_tracing_state() is not None


def is_transformed() -> bool:
    """Whether the call is inside a transform of ``torch.func``."""
    return torch._C._functorch.maybe_current_level() is not None


def transforms() -> set[str]:
    """The transforms of ``torch.func`` around the call: ``"Grad"``, ``"Vmap"``, ``"Jvp"``."""
    stack = torch._C._functorch.get_interpreter_stack() or []
    return {interpreter.key().name for interpreter in stack}


def has_gradient_hooks(tensor: Tensor) -> bool:
    """Whether hooks see the gradient of ``tensor``."""
    return bool(tensor._backward_hooks)
