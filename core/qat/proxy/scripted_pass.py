"""One forward pass counted once, for quantizers compiled by TorchScript.

Compiled code cannot ask which pass it is called in, as
:class:`qat.components.scaling.runtime.RunningStats` does. Here each further call of a pass begins
from the averages before it, and of what the calls give the widest range is kept. Averages are
linear in the statistic, so that this is the average with the widest statistic.
"""

from typing import Any

import torch
from torch import Tensor, nn

from qat.components.one_pass import current_pass
from qat.components.scaling import collects_statistics

_State = tuple[Tensor, Tensor, bool]  # buffer, counter, collecting


class ScriptedPass:
    """Calls a compiled quantizer; what it remembers is the pass that is running."""

    def __init__(self) -> None:
        self._number = 0
        self._before: list[_State] = []
        self._highest: Tensor | None = None

    def call(self, quantizer: Any, *arguments: Any) -> Any:
        """``quantizer(*arguments)``, with its statistics those of the pass."""
        number = current_pass()
        parts = _collecting(quantizer) if number != 0 else []
        if number != 0 and number == self._number and self._before:
            parts = _parts(quantizer)
            found = [part.buffer.clone() for part in parts]
            for part, (buffer, counter, collecting) in zip(parts, self._before, strict=True):
                part.buffer.copy_(buffer)
                part.counter.copy_(counter)
                part.collecting = collecting
            made = quantizer(*arguments)
            self._keep_the_widest(parts, found)
            return made
        self._number = number if parts else 0
        self._before = [(p.buffer.clone(), p.counter.clone(), p.collecting) for p in parts]
        made = quantizer(*arguments)
        self._highest = _highest(parts) if parts else None
        return made

    @torch.no_grad()
    def _keep_the_widest(self, parts: list[Any], found: list[Tensor]) -> None:
        highest = _highest(parts)
        for part, before in zip(parts, found, strict=True):
            part.buffer.copy_(torch.where(before.abs() > part.buffer.abs(), before, part.buffer))
        if highest is not None and self._highest is not None:
            self._highest = torch.maximum(highest, self._highest)
            parts[0].buffer.copy_(self._highest - parts[1].buffer)
        for part in parts:
            if hasattr(part, "collect_stats_steps"):
                part.value.copy_(part.restrict_preprocess(part.buffer))


def _parts(quantizer: nn.Module) -> list[Any]:
    """The threshold's statistics, and those of where a grid with a zero point begins."""
    named = (getattr(quantizer, name, None) for name in ("scaling_impl", "zero_point_impl"))
    return [part for part in named if part is not None and collects_statistics(part)]


def _collecting(quantizer: nn.Module) -> list[Any]:
    parts = _parts(quantizer)
    return parts if any(part.training and part.collecting for part in parts) else []


def _highest(parts: list[Any]) -> Tensor | None:
    """The upper end of the interval; None of a grid around 0."""
    if len(parts) < 2:
        return None
    with torch.no_grad():
        upper: Tensor = parts[0].buffer + parts[1].buffer
        return upper
