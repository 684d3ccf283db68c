"""Functions that put zeros among the values: ReLU, padding, dropout.

Zero is ``q = zero_point``. It is on every grid but the binary one, which becomes ternary (two bits,
signed); a grid whose zero point lies outside its range is widened until it holds it. Minifloats
have their zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from qat.tensor.dispatch import HANDLERS, is_quantized, write_back
from qat.tensor.grid import bounds, fit, wide
from qat.tensor.shape_ops import varies


def with_zero(x: Any) -> Any:
    """``x`` on the narrowest grid of its scale that also holds 0.0."""
    if x.float_format is not None:
        return x
    low, high = bounds(x.bit_width, x.signed)
    zero_point = wide(x.zero_point)
    needed, shift = fit(torch.minimum(low, zero_point), torch.maximum(high, zero_point), x.signed)
    needed = needed.to(x.bit_width.dtype)
    return x.set(
        # not torch.maximum, which would halve the gradient of a learned width where both are equal
        bit_width=torch.where(needed > x.bit_width, needed, x.bit_width),
        zero_point=x.zero_point + shift.to(x.zero_point.dtype),
    )


def relu(input: Any, inplace: bool = False) -> Any:
    """``max(q, zero_point)``."""
    if not is_quantized(input):
        return None
    result = with_zero(input).set(value=F.relu(input.value))
    return write_back(input, result) if inplace else result


def relu_(input: Any) -> Any:
    """``relu`` in place."""
    return relu(input, inplace=True)


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Padding with zeros, or with what is there (reflect, replicate, circular)."""
    if not is_quantized(input):
        return None
    ndim = input.value.dim()
    padded_dims = [ndim - 1 - i // 2 for i, amount in enumerate(pad) if amount != 0]
    if mode != "constant":
        if varies(input, padded_dims):
            return None
        return input.set(value=F.pad(input.value, pad, mode, value))
    if value:
        return None
    x = with_zero(input)
    return x.set(
        value=F.pad(input.value, pad),
        scale=_pad_metadata(x.scale, ndim, pad, 1.0),
        zero_point=_pad_metadata(x.zero_point, ndim, pad, 0.0),
        bit_width=_pad_metadata(x.bit_width, ndim, pad, 8.0),
    )


def dropout(
    func: Callable[..., Tensor],
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Any:
    """Zeros, and ``scale / (1 - p)`` for what stays; where nothing is dropped, the input."""
    if not is_quantized(input) or not 0 <= p < 1:
        return None
    if not training or p == 0:
        return input
    result = with_zero(input).set(value=func(input.value, p, True), scale=input.scale / (1 - p))
    return write_back(input, result) if inplace else result


def _pad_metadata(metadata: Tensor, ndim: int, amounts: Any, fill: float) -> Tensor:
    if metadata.numel() == 1:
        return metadata
    spread = metadata.reshape((1,) * (ndim - metadata.dim()) + metadata.shape)
    # one entry along a dimension serves the padding too
    needed = [n if spread.shape[ndim - 1 - i // 2] != 1 else 0 for i, n in enumerate(amounts)]
    return F.pad(spread, needed, value=fill) if any(needed) else metadata


HANDLERS.update({F.relu: relu, torch.relu: relu, Tensor.relu: relu})
HANDLERS.update({F.relu_: relu_, torch.relu_: relu_, Tensor.relu_: relu_})
HANDLERS[F.pad] = pad
DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)
HANDLERS.update({func: partial(dropout, func) for func in DROPOUTS})
