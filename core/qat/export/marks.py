"""Marks in a traced model: where values come onto a grid.

A quantizer of a model is many operations; a writer of files wants to know that there is one, and
its grid. So a copy of the model, with a mark in the place of each quantizer, is what torch traces.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qat.formats import IntFormat
from qat.nn.modes import evaluating
from qat.proxy import BiasQuantProxyFromInjector, QuantProxy, WeightQuantProxyFromInjector
from qat.tensor import QuantTensor

CONSTANT = (WeightQuantProxyFromInjector, BiasQuantProxyFromInjector)


@dataclass(frozen=True, eq=False)
class Marked:
    """What one quantizer gives.

    Args:
        name: dotted name of the proxy.
        format: of its integers; None for minifloats and grids that follow from the input.
        scale: float, > 0, as the quantizer gives it.
        zero_point: integer-valued float of the shape of ``scale`` or 0-dimensional.
        values: of a weight or bias, on the grid; None of an activation.
        reason: why there is no grid of integers that is the same for every input; else empty.
    """

    name: str
    format: IntFormat | None
    scale: Tensor
    zero_point: Tensor
    values: Tensor | None = None
    reason: str = ""


@torch.library.custom_op("qat_export::mark", mutates_args=())
def mark(
    x: Tensor, scale: Tensor, zero_point: Tensor, name: str, low: int, high: int, is_binary: bool
) -> Tensor:
    """``x`` on the grid ``(q - zero_point) * scale``, ``low <= q <= high``, or of -1 and +1 alone.

    Ties go to the even integer, as everywhere in the library.
    """
    if is_binary:
        return torch.where(x >= 0, scale, -scale).expand_as(x).clone()
    q = torch.clamp(torch.round(x / scale) + zero_point, low, high)
    return (q - zero_point) * scale


@mark.register_fake
def _(
    x: Tensor, scale: Tensor, zero_point: Tensor, name: str, low: int, high: int, is_binary: bool
) -> Tensor:
    return torch.empty_like(x)


MARK = torch.ops.qat_export.mark.default


class Mark(nn.Module):
    """Stands for the quantizer of a proxy: the same results, with a mark on the values."""

    def __init__(self, marked: Marked, bit_width: Tensor) -> None:
        super().__init__()
        self.name, self.is_constant = marked.name, marked.values is not None
        format = marked.format
        assert format is not None
        self.range = format.min_value, format.max_value, format.is_binary
        for name in ("scale", "zero_point", "values"):
            held: Any = getattr(marked, name)
            self.register_buffer(name, None if held is None else held.detach().clone())
        self.register_buffer("bit_width", bit_width.detach().clone())

    def forward(self, x: Tensor, *_: Any) -> tuple[Any, ...]:
        """See the class; what else a quantizer is called with plays no part."""
        given = self.values if self.is_constant else x
        value = MARK(given, self.scale, self.zero_point, self.name, *self.range)
        return value, self.scale, self.zero_point, self.bit_width


@torch.no_grad()
def with_marks(model: nn.Module, example: tuple[Any, ...]) -> tuple[nn.Module, dict[str, Marked]]:
    """A copy of ``model`` in evaluation whose quantizers are marks, and what each of them gives.

    Quantizers without one grid of integers (minifloats, dynamic scales) stay as they are, and have
    the reason.
    """
    copied = copy.deepcopy(model).eval()
    with evaluating(copied), _watched(copied) as seen:
        copied(*example)
    found: dict[str, Marked] = {}
    for name, proxy in copied.named_modules():
        if isinstance(proxy, QuantProxy) and proxy in seen:
            found[name] = _marked(name, proxy, seen[proxy])
            if not found[name].reason:
                bits = seen[proxy].bit_width
                proxy.tensor_quant = Mark(found[name], torch.as_tensor(bits))
    return copied, found


@contextmanager
def _watched(model: nn.Module) -> Iterator[dict[QuantProxy, QuantTensor]]:
    """What each proxy gave last, by proxy."""
    seen: dict[QuantProxy, QuantTensor] = {}

    def keep(proxy: Any, _: Any, result: Any) -> None:
        if isinstance(result, QuantTensor) and result.scale is not None:
            seen[proxy] = result

    proxies = [each for each in model.modules() if isinstance(each, QuantProxy)]
    hooks = [each.register_forward_hook(keep) for each in proxies if each.is_quant_enabled]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _marked(name: str, proxy: QuantProxy, made: QuantTensor) -> Marked:
    scale, zero_point = made.scale.detach(), made.zero_point.detach()
    values = made.value.detach() if isinstance(proxy, CONSTANT) else None
    reason, format = "", proxy.format
    if not isinstance(format, IntFormat):
        reason = "its numbers are minifloats" if format is not None else "its grid is not fixed"
        format = None
    elif getattr(proxy, "is_dynamic", False):
        reason = "its scale follows from each input"
    elif values is not None and not made.is_valid:
        reason = "its values are not on one grid of integers"
    elif values is None and scale.numel() == 1 and not _rounds_to_nearest(proxy, format, made):
        reason = "it does not give the nearest number of its grid"
    return Marked(name, format, scale, zero_point, values, reason)


def _rounds_to_nearest(proxy: Any, format: IntFormat, made: QuantTensor) -> bool:
    """Whether the quantizer is :func:`mark`, on halves and quarters of steps from end to end."""
    ends = min(format.max_value, 255), max(format.min_value, -255)
    steps = torch.arange(4 * ends[1] - 8, 4 * ends[0] + 9) / 4
    x = ((steps.to(made.scale) - made.zero_point) * made.scale).reshape(-1)
    scale, zero_point = made.scale.reshape(()), made.zero_point.reshape(-1)[0]
    range = format.min_value, format.max_value, format.is_binary
    return torch.equal(proxy.tensor_quant(x)[0], mark(x, scale, zero_point, "", *range))
