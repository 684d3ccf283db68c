"""A weight that has not changed is not quantized again.

Results are kept in evaluation without gradient; elsewhere once a weight was quantized more than
once between two changes, as in gradient accumulation or in a layer that is called several times.
Ordinary training, which uses every version of a weight once, keeps nothing. Small weights
(:data:`WORTH_KEEPING`) are quantized again where they need a gradient, which is faster.

A kept result is given again only while nothing it depends on has changed (:class:`Snapshot`) and
nobody has written into it. With gradient it keeps its graph, and the backward pass of each use goes
through that graph: weight and scale get the gradients that quantizing again would give them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function, forward_ad
from torch.nn.modules import module as torch_module

from qat.proxy.snapshot import Snapshot, is_reproducible

Quantized = tuple[Tensor, ...]

#: Elements from which a weight with gradient is kept. The second pass of the autograd engine takes
#: about 150 us on a CPU; four uses of a [256, 256, 3, 3] weight take 0.6 of the time, but those of
#: a [128, 128, 3, 3] one 1.1 with native ops.
WORTH_KEEPING = 2**18


class WeightReuse:
    """Calls a quantizer with a weight, or gives what it gave before.

    Not copied and not pickled with its proxy: the copy starts empty.

    Args:
        capacity: how many weights are used with the quantizer.
    """

    def __init__(self, capacity: int = 1) -> None:
        self.capacity = capacity
        self._histories: dict[tuple[int, bool], _History] = {}

    def __call__(self, quantizer: nn.Module, weight: Tensor) -> Quantized:
        """``quantizer(weight)``, from an earlier call where that is certain to be the same."""
        if _is_faster_again(weight) or not _may_reuse(weight):
            return quantizer(weight)
        history = self._history(weight)
        is_used_again = history.count(weight)
        if history.kept is not None:
            if history.kept.holds(quantizer):
                return history.kept.given_again()
            history.kept = None  # before the new result takes memory
        at_once = not quantizer.training and not torch.is_grad_enabled()
        if not (at_once or is_used_again) or not is_reproducible(quantizer):
            return quantizer(weight)
        return history.keep(quantizer, weight)

    def forget(self) -> None:
        """Quantize again at the next call, whatever has changed or not."""
        self._histories.clear()

    def _history(self, weight: Tensor) -> "_History":
        key = id(weight), torch.is_grad_enabled()
        history = self._histories.get(key)
        if history is None:
            while len(self._histories) >= 2 * self.capacity:  # with and without gradient
                self._histories.pop(next(iter(self._histories)), None)
            history = self._histories[key] = _History()
        return history

    def __deepcopy__(self, memo: Any) -> "WeightReuse":
        return WeightReuse(self.capacity)

    def __reduce__(self) -> Any:
        return WeightReuse, (self.capacity,)


class _History:
    """How often the present version of a weight was asked for, and what was kept of it."""

    def __init__(self) -> None:
        self.kept: _Kept | None = None
        self._version = -1
        self._uses = 0
        self._is_accumulating = False

    def count(self, weight: Tensor) -> bool:
        """Count one more use; whether this version, or the one before, is used more than once."""
        if weight._version != self._version:
            self._version = weight._version
            self._is_accumulating = self._uses > 1
            self._uses = 0
        self._uses += 1
        return self._is_accumulating or self._uses > 1

    def keep(self, quantizer: nn.Module, weight: Tensor) -> Quantized:
        before = Snapshot(quantizer, weight)  # a quantizer may change its own state
        with_grad = torch.is_grad_enabled()
        # Tensors of inference mode do not count who writes into them.
        with torch.inference_mode(False), torch.set_grad_enabled(with_grad):
            quantized = quantizer(weight)
        if not before.holds(quantizer):
            return quantized
        self.kept = _Kept(before, quantized)
        return self.kept.given_again()


class _Kept:
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
            and not any(_has_hooks(tensor) for tensor in self.inputs)
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
    def forward(ctx: Any, kept: _Kept, *inputs: Tensor) -> Quantized:
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


def _may_reuse(weight: Tensor) -> bool:
    """Whether this is a plain eager call with a parameter, not one that somebody records."""
    if torch.compiler.is_compiling():
        return False
    return (
        type(weight) is nn.Parameter
        and not weight.is_inference()
        and not _has_hooks(weight)
        and not _is_recorded()
        and not (weight.is_cuda and torch.cuda.is_current_stream_capturing())
    )


def _is_faster_again(weight: Tensor) -> bool:
    return weight.numel() < WORTH_KEEPING and weight.requires_grad and torch.is_grad_enabled()


def _is_recorded() -> bool:
    return bool(
        torch._C._functorch.maybe_current_level() is not None
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
        or torch_module._has_any_global_hook()
        # Checkpointing counts the tensors that are saved: twice the same way, or it fails.
        or _saved_tensors_are_watched()
    )


def _saved_tensors_are_watched() -> bool:
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(False) is not None


def _has_hooks(tensor: Tensor) -> bool:
    # They would see the gradient on its way through the kept graph, and once more behind it.
    return bool(tensor._backward_hooks)


def _surroundings(tensor: Tensor) -> Any:
    """What else a result depends on: autocast, and the stream that it is ready on."""
    kind = tensor.device.type
    stream = torch.cuda.current_stream(tensor.device) if kind == "cuda" else None
    if not torch.is_autocast_enabled(kind):
        return stream, None
    return stream, torch.get_autocast_dtype(kind)
