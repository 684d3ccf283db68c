"""Checks of a ``QuantTensor``'s fields, and the type of its integers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qat.formats import FloatFormat, Format, IntFormat
from qat.tensor.kind import widest


def as_metadata(name: str, x: Any, value: Tensor) -> Any:
    """A scale, zero point or bit width as a tensor that broadcasts to ``value``, or None."""
    if x is None or (isinstance(x, Tensor) and x.dim() == 0):
        return x
    if isinstance(x, (int, float)):
        return torch.full((), x, dtype=_number_dtype(x, value.dtype), device=value.device)
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, a number or None, not {type(x).__name__}.")
    if x.numel() == 1:
        # one entry may not add dimensions to the value, as (1, 1, 1, 1) would after a flatten
        return x.reshape(()) if x.dim() > value.dim() else x
    if not _broadcasts(x.shape, value.shape):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, which does not broadcast to the shape "
            f"{tuple(value.shape)} of the value: give per-channel metadata one entry per channel "
            "and the length 1 in every other dimension."
        )
    return x


def _number_dtype(x: float, dtype: torch.dtype) -> torch.dtype:
    if not dtype.is_floating_point:
        return torch.get_default_dtype()
    exact_up_to = 2 / torch.finfo(dtype).eps
    return torch.float32 if abs(x) > exact_up_to and dtype.itemsize < 4 else dtype


def _broadcasts(shape: torch.Size, to: torch.Size) -> bool:
    aligned = zip(reversed(shape), reversed(to), strict=False)  # leading dimensions may be missing
    return len(shape) <= len(to) and all(a in (1, b) for a, b in aligned)


def as_flag(name: str, x: Any) -> bool | None:
    """``signed`` or ``training`` as a bool, or None."""
    if x is None or isinstance(x, bool):
        return x
    if isinstance(x, Tensor) and x.numel() == 1:
        return bool(x)
    raise TypeError(f"{name} must be True, False, None or a tensor holding one bool, not {x!r}.")


def as_format(x: Any) -> Format | None:
    """``format`` as it is, if it is one."""
    if x is None or isinstance(x, (IntFormat, FloatFormat)):
        return x
    raise TypeError(
        f"format must be a qat.formats.FloatFormat or IntFormat, or None for integers of the bit "
        f"width and sign given, not {x!r}."
    )


def as_bits(bit_width: Any, format: Format | None) -> Any:
    """``bit_width``, or that of the format where it is None.

    Raises:
        ValueError: an integer format has other bits.
    """
    if bit_width is None:
        return None if format is None else format.bit_width
    if isinstance(format, IntFormat) and widest(bit_width) != format.bits:
        raise ValueError(
            f"bit_width is {widest(bit_width):g}, but format is {format.name}: leave bit_width "
            f"out, or give another format."
        )
    return bit_width


def flag_tensor(flag: bool | None, value: Tensor) -> Tensor | None:
    """``flag`` as a 0-dimensional tensor on the device of ``value``, or None."""
    return None if flag is None else torch.full((), flag, dtype=torch.bool, device=value.device)


def integer_dtype(bit_width: Tensor, signed: bool) -> torch.dtype:
    """The type for integers of ``bit_width``; at least 8 bits, then 32, then 64."""
    bits = widest(bit_width)
    if bits <= 8:
        return torch.int8 if signed else torch.uint8
    return torch.int32 if bits + (not signed) <= 32 else torch.int64
