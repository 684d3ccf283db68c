"""Functions of neighbourhoods: max and average pooling, nearest interpolation.

Where the grid itself differs along those dimensions, neighbours have no common grid, and the result
is a plain tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from qat.tensor.dispatch import HANDLERS, Quantized, has_grid
from qat.tensor.functions import with_zero
from qat.tensor.grid import bounds, fit, wide, zero_point_like
from qat.tensor.shape_ops import varies


def max_pool(func: Callable[..., Any], spatial: int, input: Any, *args: Any, **kwargs: Any) -> Any:
    """The largest of each window, on the grid of the input; with plain indices where asked for."""
    if not isinstance(input, Quantized) or varies(input, _last(spatial, input)):
        return None
    pooled = func(input.value, *args, **kwargs)
    if isinstance(pooled, Tensor):
        return input.set(value=pooled)
    return input.set(value=pooled[0]), pooled[1]


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Copies of the nearest element; the other modes mix elements and lose the grid."""
    if mode not in ("nearest", "nearest-exact") or not isinstance(input, Quantized):
        return None
    if varies(input, range(2, input.value.dim())):
        return None
    return input.set(value=F.interpolate(input.value, size, scale_factor, mode, *args, **kwargs))


def avg_pool(
    func: Callable[..., Any],
    spatial: int,
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
    if not has_grid(input) or varies(input, _last(spatial, input)):
        return None
    kernel, pads = _each(kernel_size, spatial), _each(padding, spatial)
    steps = _each(stride or kernel_size, spatial)
    padded = any(amount != 0 for amount in pads)
    if padded and not count_include_pad:
        return None
    sizes = input.value.shape[-spatial:]
    lengths = [n + 2 * p - k for n, p, k in zip(sizes, pads, kernel, strict=True)]
    if ceil_mode and any(length % step for length, step in zip(lengths, steps, strict=True)):
        return None
    count = math.prod(kernel)
    divisor = divisor_override or count
    if divisor < 0:
        return None
    override = () if divisor_override is None else (divisor_override,)
    value = func(input.value, kernel, steps, pads, ceil_mode, count_include_pad, *override)
    return _averages(with_zero(input) if padded else input, value, count, divisor)


def adaptive_avg_pool(func: Callable[..., Any], spatial: int, input: Any, output_size: Any) -> Any:
    """As an average pooling, where all windows have one size."""
    if not has_grid(input) or varies(input, _last(spatial, input)):
        return None
    value = func(input.value, output_size)
    sizes = zip(input.value.shape[-spatial:], value.shape[-spatial:], strict=True)
    windows = [_window(length, parts) for length, parts in sizes]
    count = math.prod(windows)
    return _averages(input, value, count, count) if count > 0 else None


def _averages(x: Any, value: Tensor, count: int, divisor: int) -> Any:
    """``value``, the sums of ``count`` elements of ``x`` over ``divisor``, on their grid."""
    low, high = bounds(x.bit_width, x.signed)
    bit_width, _ = fit(count * low, count * high, x.signed)
    return x.set(
        value=value,
        scale=x.scale / divisor,
        zero_point=zero_point_like(x.zero_point, count * wide(x.zero_point)),
        bit_width=bit_width.to(x.bit_width.dtype),
    )


def _window(length: int, parts: int) -> int:
    """Length of the windows that an adaptive pooling cuts ``length`` into; 0 where it varies."""
    ends = [(i * length // parts, -(-(i + 1) * length // parts)) for i in range(parts)]
    lengths = {end - start for start, end in ends}
    return lengths.pop() if len(lengths) == 1 else 0


def _last(count: int, x: Any) -> range:
    return range(x.value.dim() - count, x.value.dim())


def _each(x: Any, spatial: int) -> tuple[Any, ...]:
    """A length for each of the last ``spatial`` dimensions, from one for all or from each."""
    given = tuple(x) if isinstance(x, (tuple, list)) else (x,)
    return given * spatial if len(given) == 1 else given


MAX_POOLS = {
    1: (F.max_pool1d, F.max_pool1d_with_indices, torch.max_pool1d),
    2: (F.max_pool2d, F.max_pool2d_with_indices, torch.max_pool2d),
    3: (F.max_pool3d, F.max_pool3d_with_indices, torch.max_pool3d),
}
ADAPTIVE_MAX_POOLS = {
    1: (F.adaptive_max_pool1d, F.adaptive_max_pool1d_with_indices, torch.adaptive_max_pool1d),
    2: (F.adaptive_max_pool2d, F.adaptive_max_pool2d_with_indices),
    3: (F.adaptive_max_pool3d, F.adaptive_max_pool3d_with_indices),
}
AVG_POOLS: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE_AVG_POOLS: dict[int, Any] = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}
for max_pools in (MAX_POOLS, ADAPTIVE_MAX_POOLS):
    for spatial, funcs in max_pools.items():
        HANDLERS.update({func: partial(max_pool, func, spatial) for func in funcs})
for spatial, func in AVG_POOLS.items():
    HANDLERS[func] = partial(avg_pool, func, spatial)
for spatial, func in ADAPTIVE_AVG_POOLS.items():
    HANDLERS[func] = partial(adaptive_avg_pool, func, spatial)
HANDLERS[F.interpolate] = interpolate
