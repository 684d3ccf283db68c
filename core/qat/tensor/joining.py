"""``torch.cat`` and ``torch.stack`` of quantized tensors."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from qat.tensor.dispatch import HANDLERS, is_quantized, plain
from qat.tensor.grid import distances, fit, one_dtype, same, training_of, zero_point_like
from qat.tensor.moving import varies_along


def cat(tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    """Join quantized tensors of one scale, or of scales with an entry for each slice of ``dim``.

    Zero points and signs may differ: the integers are then counted anew from the zero points, in a
    format that holds all. Minifloats need one format.
    """
    dim = kwargs.pop("axis", dim)
    tensors = list(tensors)
    if kwargs or not tensors or not all(is_quantized(x) for x in tensors):
        return None
    if any(x.format != tensors[0].format for x in tensors) or not one_dtype(tensors):
        return None
    value = torch.cat(plain(tensors), dim)
    dim = dim % value.dim()
    first = tensors[0]
    scale = _join([x.scale for x in tensors], tensors, dim)
    if scale is None:
        return None
    result = {"value": value, "scale": scale, "training": training_of(tensors)}
    if first.format is not None:  # which says all of zero point, width and sign
        return first.set(**result)
    zero_point = _join([x.zero_point for x in tensors], tensors, dim)
    if zero_point is None or any(x.signed != first.signed for x in tensors):
        return first.set(**result, **_recount(tensors))
    widths = [x.bit_width for x in tensors]
    bit_width = _join(widths, tensors, dim)
    if bit_width is None:
        bit_width = reduce(torch.maximum, widths)
    return first.set(**result, zero_point=zero_point, bit_width=bit_width)


def stack(tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    """Join along a new dimension, under the conditions of ``cat``."""
    if kwargs or not all(is_quantized(x) for x in tensors):
        return None
    return cat([x.unsqueeze(dim) for x in tensors], dim)


def _recount(tensors: list[Any]) -> dict[str, Any]:
    ranges = [distances(x) for x in tensors]
    low = reduce(torch.minimum, [low for low, _ in ranges])
    high = reduce(torch.maximum, [high for _, high in ranges])
    signed = any(x.signed for x in tensors)
    bit_width, shift = fit(low, high, signed)
    first = tensors[0]
    return {
        "zero_point": zero_point_like(first.zero_point, shift),
        "bit_width": bit_width.to(first.bit_width.dtype),
        "signed": signed,
    }


def _join(fields: list[Tensor], tensors: list[Any], dim: int) -> Tensor | None:
    ndim = tensors[0].value.dim()
    if not any(varies_along(field, ndim, [dim]) for field in fields):
        return fields[0] if all(same(fields[0], field) for field in fields) else None
    full_rank = [field.reshape((1,) * (ndim - field.dim()) + field.shape) for field in fields]
    others = torch.broadcast_shapes(*(_with_length(f.shape, dim, 1) for f in full_rank))
    parts = [
        field.expand(_with_length(others, dim, x.value.shape[dim]))
        for field, x in zip(full_rank, tensors, strict=True)
    ]
    return torch.cat(parts, dim)


def _with_length(shape: torch.Size, dim: int, length: int) -> list[int]:
    return [length if i == dim else size for i, size in enumerate(shape)]


HANDLERS.update(dict.fromkeys((torch.cat, torch.concat, torch.concatenate), cat))
HANDLERS[torch.stack] = stack
