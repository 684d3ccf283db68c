"""Memory of a training step with any number of images.

Two small steps are made, and what is in use is read after the forward pass, after every operation
of the backward pass and after the step. Each of these readings grows linearly with the images, so
the largest of them is known for any number; which one is the largest may change with it. (A large
batch has its peak early in the backward pass, when all activations are there; a small one at the
end, when all gradients are.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qat.nn.modes import evaluating
from qat_cli.engine.memory.meter import in_use
from qat_cli.engine.step.step import Step

MOST_IMAGES = 16  # in the smaller of the two steps
FEWEST_IMAGES = 2  # batch normalisation wants more than one
#: Values per batch of images, in the smaller step: below it, a quantizer and the layer behind it
#: would keep two tensors where they keep one in a batch of usual size (see ``qat.ops.recompute``).
FEWEST_VALUES = 16 * 3 * 32 * 32


@dataclass(frozen=True)
class Readings:
    """Bytes above what was in use before, in one step with ``images`` images.

    Args:
        kept: at the first look; in training this is after the forward pass: the images, and the
            activations that the backward pass needs.
        during: at each look, in order.
        inside: how much more an operation took inside of itself; known on a GPU only.
    """

    images: int
    kept: int
    during: list[int]
    inside: int = 0


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training step, as functions of the number of images.

    Args:
        model: parameters and buffers.
        gradients: of all parameters.
        optimizer: its state.
        small, large: readings of two steps; none where the device says nothing.
    """

    model: int
    gradients: int
    optimizer: int
    small: Readings | None = None
    large: Readings | None = None

    def activations(self, images: int) -> int | None:
        """Bytes kept for the backward pass; ``None`` where they are unknown."""
        if self.small is None or self.large is None:
            return None
        return self._at(images, self.small.kept, self.large.kept)

    def step(self, images: int) -> int | None:
        """Most bytes in use at one time beside the model and the optimizer's state."""
        small, large = self.small, self.large
        if small is None or large is None:
            return None
        inside = large.inside * images // large.images
        if len(small.during) != len(large.during):  # no two readings belong together
            return max(large.during) * images // large.images + inside
        pairs = zip(small.during, large.during, strict=True)
        return max(self._at(images, first, second) for first, second in pairs) + inside

    def peak(self, images: int) -> int | None:
        """Most bytes in use at one time, all together."""
        step = self.step(images)
        return None if step is None else self.model + self.optimizer + step

    def largest_batch(self, room: int) -> int | None:
        """The most images whose step fits into ``room`` bytes; 0: not even one.

        ``None`` where it is unknown.
        """
        if self.step(1) is None:
            return None
        low, high = 0, 1
        while self._fits(high, room) and high < 1 << 20:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._fits(middle, room) else (low, middle)
        return low

    def _fits(self, images: int, room: int) -> bool:
        step = self.step(images)
        return step is not None and step <= room

    def _at(self, images: int, first: int, second: int) -> int:
        assert self.small is not None and self.large is not None
        slope = (second - first) / (self.large.images - self.small.images)
        return max(round(second + slope * (images - self.large.images)), 0)


def estimate_memory(
    model: nn.Module, step: Step, image_shape: Sequence[int], most: int, device: torch.device
) -> MemoryEstimate:
    """Take small steps with ``model`` and ``step``, which are changed by them: give copies.

    Args:
        model: on ``device``, in training mode.
        step: of a run, with an optimizer over the model's parameters.
        image_shape: (channels, height, width).
        most: images that a small step has at most, but for batches below 3.
        device: where readings are taken.
    """
    first, second = _sizes(image_shape, most)
    step.average.follow(model)
    readings = []
    for count in (first, second):
        for _ in range(2):  # the first warms up: state of the optimizer, plans for this size
            reading = _read_step(model, step, count, image_shape, device)
        readings.append(reading)
    return MemoryEstimate(
        model=_bytes([*model.parameters(), *model.buffers()]),
        gradients=_bytes(p for p in model.parameters() if p.requires_grad),
        optimizer=_bytes(_tensors(step.optimizer.state)),
        small=readings[0],
        large=readings[1],
    )


def estimate_evaluation(
    model: nn.Module, image_shape: Sequence[int], most: int, device: torch.device
) -> MemoryEstimate:
    """The same for a forward pass in evaluation mode; it is without gradients and optimizer."""
    readings = []
    with evaluating(model):
        for count in _sizes(image_shape, most):
            for _ in range(2):
                reading = _read_pass(model, count, image_shape, device)
            readings.append(reading)
    own = _bytes([*model.parameters(), *model.buffers()])
    return MemoryEstimate(own, 0, 0, *readings)


def _sizes(image_shape: Sequence[int], most: int) -> tuple[int, int]:
    fewest = -(-FEWEST_VALUES // max(torch.Size(image_shape).numel(), 1))
    count = min(max(fewest, FEWEST_IMAGES), MOST_IMAGES)
    second = max(min(count + max(count // 2, 2), most), FEWEST_IMAGES + 1)
    return max(second * 2 // 3, FEWEST_IMAGES), second


class _Looks:
    """Bytes in use above those at the start, each time that :meth:`look` is called."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.during: list[int] = []
        self.before = in_use(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def look(self, *_: Any) -> None:
        now = in_use(self.device)
        if now is not None and self.before is not None:
            self.during.append(now - self.before)

    def readings(self, images: int) -> Readings | None:
        if not self.during or self.before is None:
            return None
        inside = 0
        if self.device.type == "cuda":
            most = torch.cuda.max_memory_allocated(self.device) - self.before
            inside = max(most - max(self.during), 0)
        return Readings(images, self.during[0], self.during, inside)


@torch.no_grad()
def _read_pass(
    model: nn.Module, count: int, shape: Sequence[int], device: torch.device
) -> Readings | None:
    looks = _Looks(device)
    # For all modules at once: hooks of their own would make quantizers compute in another way.
    handle = nn.modules.module.register_module_forward_hook(looks.look)
    try:
        model(torch.randn(count, *shape, device=device))
    finally:
        handle.remove()
    return looks.readings(count)


def _read_step(
    model: nn.Module, step: Step, count: int, shape: Sequence[int], device: torch.device
) -> Readings | None:
    step.begin(0, 0)
    looks = _Looks(device)
    images = torch.randn(count, *shape, device=device)
    labels = torch.zeros(count, dtype=torch.int64, device=device)
    loss, logits = step.loss(model, images, labels)
    looks.look()
    for node in _nodes(loss):
        node.register_hook(looks.look)
    step.backward(loss, None)
    del loss, logits
    step.finish(model)
    looks.look()
    return looks.readings(count)


def _nodes(loss: Tensor) -> list[Any]:
    found: dict[Any, None] = {}
    waiting: list[Any] = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found[node] = None
            waiting += [following for following, _ in node.next_functions]
    return list(found)


def _tensors(state: Any) -> list[Tensor]:
    return [x for entry in state.values() for x in entry.values() if isinstance(x, Tensor)]


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
