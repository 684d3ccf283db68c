"""Functions that move elements: reshaping, indexing, splitting, joining, casting.

Each result element is an element of an input, so that the grid survives. A scale (zero point, bit
width) of one entry serves any arrangement; one with an entry per channel goes through the same
function, spread over the value's shape. Joined tensors need one scale, or scales per slice of the
dimension that they are joined along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor

from qat.tensor.dispatch import HANDLERS, Quantized, is_quantized, plain
from qat.tensor.grid import distances, fit, one_dtype, same, training_of, zero_point_like

METADATA = ("scale", "zero_point", "bit_width")


def spread(metadata: Tensor, shape: torch.Size) -> Tensor:
    """``metadata`` expanded to ``shape``, without copying."""
    return metadata.expand(shape)


def gather_up(metadata: Tensor) -> Tensor:
    """The inverse of ``spread``: dimensions that repeat one entry in memory get the length 1.

    No entries at all, which leave no element to describe, become a single 1.
    """
    if metadata.numel() == 0:
        return torch.ones((), dtype=metadata.dtype, device=metadata.device)
    for dim, (size, stride) in enumerate(zip(metadata.shape, metadata.stride(), strict=True)):
        if stride == 0 and size > 1:
            metadata = metadata.narrow(dim, 0, 1)
    return metadata


def move(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Apply ``func``, which moves the elements of its first argument, to value and metadata.

    Returns:
        A quantized tensor, or a tuple of them where ``func`` gives several tensors; None where the
        first argument is not quantized.
    """
    args, kwargs = plain_but_first(args, kwargs)
    x, args = (args[0], args[1:]) if args else (kwargs.pop("input"), ())
    if not isinstance(x, Quantized):
        return None
    value = func(x.value, *args, **kwargs)
    moved = {name: _move_metadata(func, getattr(x, name), x, args, kwargs) for name in METADATA}
    if isinstance(value, Tensor):
        return x.on_same_grid(value=value, **moved)
    return tuple(
        x.on_same_grid(value=part, **{name: _part(moved[name], i) for name in METADATA})
        for i, part in enumerate(value)
    )


def plain_but_first(args: tuple[Any, ...], kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments without quantized tensors, but for the one that the function is about."""
    rest = {key: item if key == "input" else plain(item) for key, item in kwargs.items()}
    return (*args[:1], *plain(args[1:])), rest


def _move_metadata(func: Any, metadata: Tensor | None, x: Quantized, args: Any, kwargs: Any) -> Any:
    if metadata is None or metadata.numel() == 1:
        return metadata
    moved = METADATA_FUNCTION.get(func, func)(spread(metadata, x.value.shape), *args, **kwargs)
    return gather_up(moved) if isinstance(moved, Tensor) else [gather_up(part) for part in moved]


def _part(moved: Any, index: int) -> Any:
    return moved[index] if isinstance(moved, list) else moved


def view(func: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """``Tensor.view`` with a shape; the same bytes as another type have no grid."""
    if "dtype" in kwargs or (args and isinstance(args[0], torch.dtype)):
        return None
    return move(func, x, *args, **kwargs)


def keep(func: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """Functions that change where a value lies in memory, not its entries or their order."""
    return x.set(value=func(x.value, *args, **kwargs)) if isinstance(x, Quantized) else None


def detach(input: Any) -> Any:
    """Value and metadata without history."""
    fields = {name: getattr(input, name) for name in METADATA}
    detached = {name: None if field is None else field.detach() for name, field in fields.items()}
    return input.on_same_grid(value=input.value.detach(), **detached)


def convert(x: Any, *args: Any, **kwargs: Any) -> Any:
    """``Tensor.to`` of value and metadata; a type that is not floating point loses the grid."""
    if not isinstance(x, Quantized):
        return None
    value = x.value.to(*plain(args), **plain(kwargs))
    if not value.dtype.is_floating_point:
        return None
    dtype = None if value.dtype == x.value.dtype else value.dtype
    fields = {name: getattr(x, name) for name in METADATA}
    converted = {
        name: None if field is None else field.to(device=value.device, dtype=dtype)
        for name, field in fields.items()
    }
    return x.on_same_grid(value=value, **converted)


def keep_in_place(func: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """Functions that change a value in place, but none of its entries; returns ``x``."""
    func(x.value, *args, **kwargs)
    return x


def varies_along(metadata: Tensor, ndim: int, dims: Iterable[int]) -> bool:
    """Whether ``metadata``, seen with ``ndim`` dimensions, has several entries along ``dims``."""
    missing = ndim - metadata.dim()
    return any(dim >= missing and metadata.shape[dim - missing] != 1 for dim in dims)


def varies(x: Any, dims: Iterable[int]) -> bool:
    """Whether the grid of ``x`` differs from entry to entry along one of ``dims``."""
    fields = [getattr(x, name) for name in METADATA]
    return any(f is not None and varies_along(f, x.value.dim(), list(dims)) for f in fields)


def cat(tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    """Join quantized tensors of one scale, or of scales with an entry for each slice of ``dim``.

    Zero points and signs may differ: the integers are then counted anew from the zero points, in a
    format that holds all. Minifloats need one format.
    """
    dim = kwargs.pop("axis", dim)
    tensors = list(tensors)
    if kwargs or not tensors or not all(is_quantized(x) for x in tensors):
        return None
    if any(x.float_format != tensors[0].float_format for x in tensors) or not one_dtype(tensors):
        return None
    value = torch.cat(plain(tensors), dim)
    dim = dim % value.dim()
    first = tensors[0]
    scale = _join([x.scale for x in tensors], tensors, dim)
    if scale is None:
        return None
    result = {"value": value, "scale": scale, "training": training_of(tensors)}
    if first.float_format is not None:  # which says all of zero point, width and sign
        return first.set(**result)
    zero_point = _join([x.zero_point for x in tensors], tensors, dim)
    if zero_point is None or any(x.signed != first.signed for x in tensors):
        return first.set(**result, **_recount(tensors))
    widths = [x.bit_width for x in tensors]
    bit_width = _join(widths, tensors, dim)
    if bit_width is None:
        bit_width = reduce(torch.maximum, widths)
    joined = first.set(**result, zero_point=zero_point, bit_width=bit_width)
    if all(x.kind == first.kind for x in tensors):
        joined.kind = first.kind
    return joined


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


# spread metadata repeats its entries in memory and can often not be viewed otherwise
METADATA_FUNCTION: dict[Any, Callable[..., Any]] = {
    Tensor.view: Tensor.reshape,
    Tensor.view_as: Tensor.reshape_as,
}

MOVES: list[Any] = [
    *(torch.flatten, torch.ravel, torch.reshape, torch.squeeze, torch.unflatten, torch.unsqueeze),
    *(torch.movedim, torch.moveaxis, torch.permute, torch.swapaxes, torch.swapdims, torch.t),
    *(torch.transpose, torch.flip, torch.fliplr, torch.flipud, torch.roll, torch.rot90),
    *(torch.broadcast_to, torch.tile, torch.repeat_interleave),
    *(torch.narrow, torch.select, torch.index_select, torch.take_along_dim, torch.diagonal),
    *(torch.chunk, torch.split, torch.tensor_split, torch.unbind),
    *(torch.pixel_shuffle, torch.pixel_unshuffle, torch.channel_shuffle),
    *(Tensor.flatten, Tensor.ravel, Tensor.reshape, Tensor.squeeze, Tensor.unflatten),
    *(Tensor.unsqueeze, Tensor.movedim, Tensor.moveaxis, Tensor.permute, Tensor.swapaxes),
    *(Tensor.swapdims, Tensor.t, Tensor.transpose, Tensor.flip, Tensor.fliplr, Tensor.flipud),
    *(Tensor.roll, Tensor.rot90, Tensor.broadcast_to, Tensor.tile, Tensor.repeat_interleave),
    *(Tensor.narrow, Tensor.select, Tensor.index_select, Tensor.take_along_dim, Tensor.diagonal),
    *(Tensor.chunk, Tensor.split, Tensor.tensor_split, Tensor.unbind),
    *(Tensor.__getitem__, Tensor.expand, Tensor.expand_as, Tensor.repeat, Tensor.unfold),
    *(Tensor.reshape_as, Tensor.view_as),
]
HANDLERS.update({func: partial(move, func) for func in MOVES})
HANDLERS.update({func: partial(keep, func) for func in (torch.clone, Tensor.clone)})
HANDLERS[Tensor.contiguous] = partial(keep, Tensor.contiguous)
HANDLERS[Tensor.view] = partial(view, Tensor.view)
HANDLERS[torch.detach] = HANDLERS[Tensor.detach] = detach
HANDLERS[Tensor.to] = convert
KEEPS_IN_PLACE: list[Any] = [Tensor.requires_grad_, Tensor.detach_, Tensor.share_memory_]
HANDLERS.update({func: partial(keep_in_place, func) for func in KEEPS_IN_PLACE})
HANDLERS.update(dict.fromkeys((torch.cat, torch.concat, torch.concatenate), cat))
HANDLERS[torch.stack] = stack
