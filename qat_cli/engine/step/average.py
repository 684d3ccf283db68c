"""An exponential moving average of the weights, validated and kept as best."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from qat.components.scaling import awaits_statistics

# The average of few steps must not hang on to the start: after n of them the decay is at most
# (1 + n) / (10 + n), which comes to 0.9 after 80 steps and to 0.999 after 9000.
EARLY = 10


class NoAverage:
    """The weights as they are."""

    def follow(self, model: nn.Module) -> None:
        """Look up what is to be averaged; called when the quantizers may have changed."""

    def begin_again(self, names: Collection[str]) -> None:
        """Forget the averages of parameters that something else than training has changed."""

    def update(self) -> None:
        """Take in the weights after an optimizer step."""

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Inside this context ``model`` has the average."""
        yield

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""


class WeightAverage(NoAverage):
    """``average = decay * average + (1 - decay) * weights`` after each step.

    Covers all parameters, what quantizers learn included; buffers, such as the statistics of
    batch normalisation, are the model's own. While a quantizer collects statistics its scales are
    about to jump to what it finds, so until then the average is a copy of the weights.

    Args:
        decay: in (0, 1); the average reaches back over about ``1 / (1 - decay)`` steps.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._averages: dict[str, Tensor] = {}
        self._parameters: dict[str, Tensor] = {}
        self._collecting: list[Any] = []

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Look up parameters by name; one that is new, or of a new shape, begins as a copy."""
        self._parameters = dict(model.named_parameters())
        old = self._averages
        self._averages = {
            name: old[name].to(p.device)
            if name in old and old[name].shape == p.shape
            else p.detach().clone()
            for name, p in self._parameters.items()
        }
        self._collecting = [m for m in model.modules() if awaits_statistics(m)]

    def begin_again(self, names: Collection[str]) -> None:
        """Forget the averages of these parameters: :meth:`follow` copies them anew."""
        self._averages = {name: a for name, a in self._averages.items() if name not in names}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an optimizer step."""
        averages, weights = list(self._averages.values()), list(self._parameters.values())
        if self._collecting:  # the step that ends the phase still sets scales
            torch._foreach_copy_(averages, weights)
            self._collecting = [m for m in self._collecting if awaits_statistics(m)]
            return
        decay = min(self.decay, (1 + self.steps) / (EARLY + self.steps))
        torch._foreach_lerp_(averages, weights, 1 - decay)
        self.steps += 1

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Inside this context ``model`` has the average."""
        averages = list(self._averages.values())
        weights = list(self._parameters.values())
        own = [weight.detach().clone() for weight in weights]
        with torch.no_grad():  # copied, not exchanged: caches of quantized weights see it
            torch._foreach_copy_(weights, averages)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(weights, own)

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"steps": self.steps, "weights": dict(self._averages)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned, once :meth:`follow` is called."""
        self.steps, self._averages = int(state["steps"]), dict(state["weights"])
