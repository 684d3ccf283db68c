"""Hooks of a layer, handed on to the one in its place."""

from torch import nn

_HOOKS = (
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_backward_pre_hooks",
    "_backward_hooks",
)


def move_hooks(layer: nn.Module, replacement: nn.Module) -> None:
    """Let the hooks on calls of ``layer``, and on their gradients, see those of ``replacement``."""
    if replacement is layer:
        return
    for name in _HOOKS:
        getattr(replacement, name).update(getattr(layer, name))
    replacement._is_full_backward_hook = layer._is_full_backward_hook
