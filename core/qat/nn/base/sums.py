"""The integer grid of an accumulator: of sums of products.

``(q - z) * s`` times ``(w - u) * t`` is ``(q - z) * (w - u)``, an integer, times ``s * t``: with
zero points or without, the sums lie on a grid with the zero point 0, as the zeros of padding do.
"""

import torch
from torch import Tensor

from qat.ops import ceil_ste
from qat.proxy import QuantProxy
from qat.tensor import QuantTensor
from qat.tensor.grid import distances


def has_integers(x: QuantTensor) -> bool:
    """Whether ``x`` lies on a grid of integers, known in full; minifloats do not."""
    return not x.missing and x.float_format is None


def has_whole_zero_point(proxy: QuantProxy) -> bool:
    """Whether the zero point of what ``proxy`` gives is an integer, so that ``q - z`` is one."""
    declared = proxy.quant_injector
    if declared is None or "quantize_zero_point" not in declared:
        return True
    return bool(declared.quantize_zero_point)


def product_of_scales(input_scale: Tensor, weight_scale: Tensor | None) -> Tensor | None:
    """Scale of the sums, 0-dimensional or [channels]; None where they have none in common.

    Args:
        input_scale: float, any shape; a scale per input channel does not leave the sum.
        weight_scale: float, 0-dimensional or one per output channel, or None.
    """
    if weight_scale is None or input_scale.numel() != 1:
        return None
    return input_scale.reshape(()) * weight_scale


def accumulator_bits(
    products: int, x: QuantTensor, weight: QuantTensor, bias: QuantTensor | None
) -> Tensor:
    """Bits of a signed integer that holds every sum that can occur, 0-dimensional, float32.

    Args:
        products: how many products are summed.
        x, weight: what is multiplied, on integer grids.
        bias: what is added, in the scale of the products.
    """
    largest = products * _magnitude(x) * _magnitude(weight)
    if bias is not None:
        largest = largest + _magnitude(bias)
    return (ceil_ste(torch.log2(largest + 1.0)) + 1.0).to(torch.float32)


def _magnitude(x: QuantTensor) -> Tensor:
    """The largest ``|q - zero_point|`` that the grid allows."""
    low, high = distances(x)
    return torch.maximum(-low, high)
