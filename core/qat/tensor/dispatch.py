"""Application of torch's functions to quantized tensors.

By a handler that keeps the grid, or else to plain values.

A handler takes what the function takes and gives the quantized result, or None where the grid does
not survive with these arguments. The modules ``shape_ops``, ``functions``, ``resampling`` and
``arithmetic`` fill the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from qat.tensor.kind import UNKNOWN

HANDLERS: dict[Any, Callable[..., Any]] = {}


class Quantized:
    """What handlers know of a ``QuantTensor``, which is defined above them."""

    value: Any
    scale: Any
    zero_point: Any
    bit_width: Any
    kind: Any
    training: Any
    signed: Any
    float_format: Any
    missing: Any
    set: Any
    on_same_grid: Any


def is_quantized(x: Any) -> bool:
    """Whether ``x`` is quantized and has all the metadata that a grid takes."""
    return isinstance(x, Quantized) and not x.missing


def has_grid(x: Any) -> bool:
    """Whether ``x`` is quantized to integers, which can be counted; minifloats cannot."""
    return is_quantized(x) and x.float_format is None


def plain(x: Any) -> Any:
    """``x``, and what its lists, tuples and dicts hold, with values for quantized tensors."""
    if isinstance(x, Quantized):
        return x.value
    if type(x) in (list, tuple):
        return type(x)([plain(item) for item in x])
    if type(x) is dict:
        return {key: plain(item) for key, item in x.items()}
    return x


def apply(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``func(*args, **kwargs)``: quantized where a handler keeps the grid, else of the values.

    A function that writes into a quantized tensor without keeping its grid leaves that tensor with
    a value alone.
    """
    handler = HANDLERS.get(func)
    if handler is not None:
        result = handler(*args, **kwargs)
        if result is not None:
            return result
    result = func(*plain(args), **plain(kwargs))
    if _writes(func, kwargs) and args and isinstance(args[0], Quantized):
        forget_grid(args[0])
    return result


def write_back(target: Quantized, result: Quantized) -> Quantized:
    """Make ``target`` hold ``result``, as in place; views of its old storage stay as they were."""
    target.value, target.scale, target.zero_point = result.value, result.scale, result.zero_point
    target.bit_width, target.kind = result.bit_width, result.kind
    return target


def forget_grid(x: Quantized) -> None:
    """Drop the metadata of ``x``, whose value no longer lies on the grid."""
    x.scale = x.zero_point = x.bit_width = None
    x.kind = UNKNOWN


def _functions_in_place() -> dict[Any, bool]:
    # torch names them with one trailing underscore
    found: list[Callable[..., Any]] = [torch.Tensor.__setitem__]
    for place in (torch, torch.Tensor, nn.functional, nn.init):
        names = [name for name in dir(place) if name.endswith("_") and not name.endswith("__")]
        found += [getattr(place, name) for name in names]
    return {each: True for each in found if callable(each)}


#: A table, because the compiler looks functions up, but does not follow what reads their names.
IN_PLACE = _functions_in_place()


def _writes(func: Callable[..., Any], kwargs: dict[str, Any]) -> bool:
    return IN_PLACE.get(func, False) or bool(kwargs.get("inplace"))
