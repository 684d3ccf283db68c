"""A quantized weight that is kept, and given again with its graph.

With gradient the backward pass of each use goes through the graph that was kept: weight and scale
get the gradients that quantizing again would give them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from qat.proxy.reuse.snapshot import Snapshot
from qat.proxy.torch_private import has_gradient_hooks

Quantized = tuple[Tensor, ...]


class Kept:
    """A result, with its graph where it has one, and what it was computed from."""

    def __init__(self, snapshot: Snapshot, quantized: Quantized) -> None:
        self.quantized = quantized
        self.with_graph = [tensor for tensor in quantized if tensor.requires_grad]
        self.inputs = snapshot.differentiable if self.with_graph else []
        self._snapshot = snapshot
        self._versions = [tensor._version for tensor in quantized]
        self._surroundings = _surroundings(quantized[0])

    def holds(self, quantizer: nn.Module) -> bool:
        """Whether ``quantizer`` would give the same now."""
        return (
            [tensor._version for tensor in self.quantized] == self._versions
            and _surroundings(self.quantized[0]) == self._surroundings
            and self._snapshot.holds(quantizer)
            # they would see the gradient on its way through the kept graph, and once more behind it
            and not any(has_gradient_hooks(tensor) for tensor in self.inputs)
        )

    def given_again(self) -> Quantized:
        # Aliases: what a caller does to a tensor, other than writing into it, is not kept.
        if not self.with_graph:
            return tuple(tensor.detach() for tensor in self.quantized)
        again = iter(_GivenAgain.apply(self, *self.inputs))
        return tuple(next(again) if x.requires_grad else x.detach() for x in self.quantized)


class _GivenAgain(Function):
    """The kept results as functions of what they were computed from."""

    @staticmethod
    def forward(ctx: Any, kept: Kept, *inputs: Tensor) -> Quantized:
        ctx.kept = kept
        ctx.set_materialize_grads(False)
        return tuple(tensor.detach() for tensor in kept.with_graph)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        kept, needed = ctx.kept, ctx.needs_input_grad[1:]
        reached = [(x, g) for x, g in zip(kept.with_graph, gradients, strict=True) if g is not None]
        results, incoming = zip(*reached, strict=True)
        inputs = [x for x, is_needed in zip(kept.inputs, needed, strict=True) if is_needed]
        found = iter(
            torch.autograd.grad(
                results,
                inputs,
                incoming,
                retain_graph=True,
                create_graph=torch.is_grad_enabled(),
                allow_unused=True,
            )
        )
        return None, *(next(found) if is_needed else None for is_needed in needed)


def _surroundings(tensor: Tensor) -> Any:
    """What else a result depends on: autocast, and the stream that it is ready on."""
    kind = tensor.device.type
    stream = torch.cuda.current_stream(tensor.device) if kind == "cuda" else None
    if not torch.is_autocast_enabled(kind):
        return stream, None
    return stream, torch.get_autocast_dtype(kind)
