"""Reuse of quantized weights while nothing about them has changed.

Results are kept in evaluation without gradient; elsewhere once a weight was quantized more than
once between two changes, as in gradient accumulation or in a layer that is called several times.
Ordinary training, which uses every version of a weight once, keeps nothing. Small weights
(:data:`WORTH_KEEPING`) are quantized again where they need a gradient, which is faster.

A kept result is given again only while nothing it depends on has changed (:class:`Snapshot`) and
nobody has written into it.
"""

from typing import Any

import torch
from torch import Tensor, nn

from qat.proxy.reuse.kept import Kept, Quantized
from qat.proxy.reuse.snapshot import Snapshot, is_reproducible
from qat.proxy.torch_private import has_gradient_hooks, nothing_records

#: Elements from which a weight with gradient is kept. The second pass of the autograd engine takes
#: about 150 us on a CPU; four uses of a [256, 256, 3, 3] weight take 0.6 of the time, but those of
#: a [128, 128, 3, 3] one 1.1 with native ops.
WORTH_KEEPING = 2**18


class WeightReuse:
    """Calls a quantizer with a weight, or gives what it gave before.

    Not copied and not pickled with its proxy: the copy starts empty.

    Args:
        capacity: how many weights are used with the quantizer; 0 for no reuse at all.
    """

    def __init__(self, capacity: int = 1) -> None:
        self.capacity = capacity
        self._histories: dict[tuple[int, bool], _History] = {}

    def __call__(self, quantizer: nn.Module, weight: Tensor) -> Quantized:
        """``quantizer(weight)``, from an earlier call where that is certain to be the same."""
        if not self.capacity or _is_faster_again(weight) or not _may_reuse(weight):
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
        self.kept: Kept | None = None
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
        self.kept = Kept(before, quantized)
        return self.kept.given_again()


def _may_reuse(weight: Tensor) -> bool:
    """Whether this is a plain eager call with a parameter, not one that somebody records."""
    if torch.compiler.is_compiling():
        return False
    return (
        type(weight) is nn.Parameter
        and not weight.is_inference()
        and not has_gradient_hooks(weight)
        and nothing_records()
        and not (weight.is_cuda and torch.cuda.is_current_stream_capturing())
    )


def _is_faster_again(weight: Tensor) -> bool:
    return weight.numel() < WORTH_KEEPING and weight.requires_grad and torch.is_grad_enabled()
