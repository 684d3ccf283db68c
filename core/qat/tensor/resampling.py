"""Functions that look at neighbourhoods in the last dimensions: max and average pooling, nearest
interpolation.

Where the grid itself differs along those dimensions, neighbours have no common grid, and the result
is a plain tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .dispatch import HANDLERS, Quantized, has_grid
from .functions import with_zero
from .grid import bounds, fit, wide, zero_point_like
from .moving import varies


def max_pool(func: Callable[..., Any], spatial: int, input: Any, *args: Any, **kwargs: Any) -> Any:
    """The largest of each window, on the grid of the input; with plain indices where asked for."""
    if not isinstance(input, Quantized) or varies(input, _last(spatial, input)):
        return None
    pooled = func(input.value, *args, **kwargs)
    if isinstance(pooled, Tensor):
        return input.set(value=pooled)
    return input.set(value=pooled[0]), pooled[1]


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", **kwargs: Any
) -> Any:
    """Copies of the nearest element; the other modes mix elements and lose the grid."""
    if mode not in ("nearest", "nearest-exact") or not isinstance(input, Quantized):
        return None
    if varies(input, range(2, input.value.dim())):
        return None
    return input.set(value=F.interpolate(input.value, size, scale_factor, mode, **kwargs))


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """``q`` the sum of each window's ``k`` integers, ``z = k * z``, ``scale / k``, enough bits.

    Only where every window sums and divides by the same number: no window may hang over the edge,
    and padding is counted.
    """
    if not has_grid(input) or varies(input, _last(2, input)):
        return None
    kernel, steps, pads = _pair(kernel_size), _pair(stride or kernel_size), _pair(padding)
    padded = any(amount != 0 for amount in pads)
    if padded and not count_include_pad:
        return None
    lengths = [n + 2 * p - k for n, p, k in zip(input.value.shape[-2:], pads, kernel, strict=True)]
    if ceil_mode and any(length % step for length, step in zip(lengths, steps, strict=True)):
        return None
    count = kernel[0] * kernel[1]
    divisor = divisor_override or count
    if divisor < 0:
        return None
    x = with_zero(input) if padded else input
    low, high = bounds(x.bit_width, x.signed)
    bit_width, _ = fit(count * low, count * high, x.signed)
    return x.set(
        value=F.avg_pool2d(
            input.value, kernel, steps, pads, ceil_mode, count_include_pad, divisor_override
        ),
        scale=x.scale / divisor,
        zero_point=zero_point_like(x.zero_point, count * wide(x.zero_point)),
        bit_width=bit_width.to(x.bit_width.dtype),
    )


def _last(count: int, x: Any) -> range:
    return range(x.value.dim() - count, x.value.dim())


def _pair(x: Any) -> tuple[int, int]:
    if isinstance(x, (tuple, list)):
        return (x[0], x[-1])
    return (x, x)


MAX_POOLS = {
    1: (F.max_pool1d, F.max_pool1d_with_indices, torch.max_pool1d),
    2: (F.max_pool2d, F.max_pool2d_with_indices, torch.max_pool2d),
    3: (F.max_pool3d, F.max_pool3d_with_indices, torch.max_pool3d),
}
for spatial, funcs in MAX_POOLS.items():
    HANDLERS.update({func: partial(max_pool, func, spatial) for func in funcs})
HANDLERS[F.interpolate] = interpolate
HANDLERS[F.avg_pool2d] = avg_pool2d
