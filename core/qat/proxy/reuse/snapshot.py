"""Snapshot of everything that a quantizer's result depends on.

Looked at are identities, version counters and addresses, never values: to compare a weight with a
copy takes longer than to quantize it (x3 with native ops). So writes through ``.data``, which no
version counter sees, are not seen here.
"""

from collections.abc import Iterator
from operator import is_
from typing import Any

from torch import Tensor, nn

from qat.components.rounding import StochasticRoundSte
from qat.proxy.fusion import is_watched

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HELD = ("_parameters", "_buffers", "_modules")


def is_reproducible(quantizer: nn.Module) -> bool:
    """Whether equal inputs and an equal state give equal results, and nobody watches the calls.

    Known of our own components, which say where they draw random numbers; not of a user's, nor of
    modules compiled by TorchScript, whose state cannot be seen from outside.
    """
    return all(
        _is_ours(part) and not is_watched(part) and not _is_random(part)
        for part in quantizer.modules()
    )


def _is_ours(part: nn.Module) -> bool:
    kind = type(part)
    is_known = kind is nn.Identity or kind.__module__.partition(".")[0] == "qat"
    return is_known and "forward" not in vars(part)


def _is_random(part: nn.Module) -> bool:
    return isinstance(part, StochasticRoundSte) and part.is_random()


class _TensorState:
    """One tensor: its memory, version, and whether it takes part in autograd."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.memory = tensor.untyped_storage()  # held, so that its address is not given away
        self.address = tensor.data_ptr()
        self.version = tensor._version
        self.kind = tensor.requires_grad, tensor.dtype, tensor.device

    def holds(self) -> bool:
        now = self.tensor
        return (
            now._version == self.version
            and now.data_ptr() == self.address
            and (now.requires_grad, now.dtype, now.device) == self.kind
        )


class Snapshot:
    """The state of a quantizer and of the weight it is called with.

    Private attributes do not belong to it: our components keep there what they computed before,
    and look after it themselves.

    Args:
        quantizer: a module that :func:`is_reproducible`.
        weight: what it is called with.
    """

    def __init__(self, quantizer: nn.Module, weight: Tensor) -> None:
        parts = list(quantizer.modules())
        self.quantizer = quantizer
        self._tables = [_Table(held) for part in parts for held in _tables(part)]
        self._hooks = [vars(part)[name] for part in parts for name in _HOOKS]
        held = [weight, *(item for table in self._tables for item in table.items)]
        tensors = {id(item): item for item in held if isinstance(item, Tensor)}
        self._states = [_TensorState(tensor) for tensor in tensors.values()]

    @property
    def differentiable(self) -> list[Tensor]:
        """The tensors that gradients may flow to."""
        return [state.tensor for state in self._states if state.tensor.requires_grad]

    def holds(self, quantizer: nn.Module) -> bool:
        """Whether ``quantizer`` is the one remembered, and nothing about it has changed."""
        return (
            quantizer is self.quantizer
            and not any(self._hooks)
            and all(table.holds() for table in self._tables)
            and all(state.holds() for state in self._states)
        )


class _Table:
    """The public items of a dictionary, compared by identity."""

    def __init__(self, held: dict[Any, Any]) -> None:
        self._get = held.get
        names = [name for name in held if not str(name).startswith("_")]
        # One that appears later would replace the method of the class.
        self._names = names if "forward" in names else [*names, "forward"]
        self.items = [held.get(name) for name in self._names]

    def holds(self) -> bool:
        return all(map(is_, map(self._get, self._names), self.items))


def _tables(part: nn.Module) -> Iterator[dict[Any, Any]]:
    """Attributes, tensors and parts of ``part``, and the items of its lists (fixed)."""
    yield vars(part)
    for name in _HELD:
        if vars(part)[name]:
            yield vars(part)[name]
    for item in vars(part).values():
        if isinstance(item, list):
            yield dict(enumerate(item))
