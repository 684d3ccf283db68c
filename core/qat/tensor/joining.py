"""``torch.cat`` and ``torch.stack`` of quantized tensors."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from .dispatch import HANDLERS, has_grid, plain
from .grid import distances, fit, same, training_of, zero_point_like
from .moving import gather_up, spread, varies_along


def cat(tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    """Join quantized tensors of one scale, or of scales with an entry for each slice of ``dim``.

    Zero points and signs may differ: the integers are then counted anew from the zero points, in a format that holds all.
    """
    dim = kwargs.pop("axis", dim)
    tensors = list(tensors)
    if kwargs or not tensors or not all(has_grid(x) for x in tensors):
        return None
    value = torch.cat(plain(tensors), dim)
    dim = dim % value.dim()
    first = tensors[0]
    scale = _join([x.scale for x in tensors], tensors, dim)
    if scale is None:
        return None
    result = first.set(value=value, scale=scale, training=training_of(tensors))
    zero_point = _join([x.zero_point for x in tensors], tensors, dim)
    if zero_point is not None and all(x.signed == first.signed for x in tensors):
        bit_width = _join([x.bit_width for x in tensors], tensors, dim)
        if bit_width is None:
            bit_width = reduce(torch.maximum, [x.bit_width for x in tensors])
        return result.set(zero_point=zero_point, bit_width=bit_width)
    return _recount(result, tensors)


def stack(tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    """Join along a new dimension, under the conditions of ``cat``."""
    if kwargs or not all(has_grid(x) for x in tensors):
        return None
    return cat([x.unsqueeze(dim) for x in tensors], dim)


def _recount(result: Any, tensors: list[Any]) -> Any:
    ranges = [distances(x) for x in tensors]
    low = reduce(torch.minimum, [low for low, _ in ranges])
    high = reduce(torch.maximum, [high for _, high in ranges])
    signed = any(x.signed for x in tensors)
    bit_width, shift = fit(low, high, signed)
    return result.set(
        zero_point=zero_point_like(tensors[0].zero_point, shift),
        bit_width=bit_width.to(tensors[0].bit_width.dtype),
        signed=signed,
    )


def _join(fields: list[Tensor], tensors: list[Any], dim: int) -> Tensor | None:
    ndim = tensors[0].value.dim()
    if not any(varies_along(field, ndim, [dim]) for field in fields):
        return fields[0] if all(same(fields[0], field) for field in fields) else None
    return gather_up(torch.cat([spread(f, x.value.shape) for f, x in zip(fields, tensors)], dim))


HANDLERS.update({func: cat for func in (torch.cat, torch.concat, torch.concatenate)})
HANDLERS[torch.stack] = stack
