"""The grid of a minifloat format: how far apart its numbers are.

Can be called from TorchScript.
"""

import torch
from torch import Tensor

from qat import torchscript
from qat.ops.reference import minifloat as float_python


def float_step(v: Tensor, mantissa_bits: int, min_exponent: int) -> Tensor:
    """``2**(max(floor(log2 |v|), min_exponent) - mantissa_bits)``, exact.

    Multiples of it are the numbers with ``mantissa_bits`` of the binade of ``v``; below
    ``2**min_exponent``, and at zero, the subnormal ones.

    Args:
        v: float32 or float64, any shape, finite.
        mantissa_bits: at least 0.
        min_exponent: that of the smallest normal number.
    Returns:
        A power of two, same shape and dtype as ``v``; infinity where ``v`` is infinity or NaN.
    Gradient: none.

    >>> float_step(torch.tensor([0.0, 0.9, 1.0, 7.9]), 1, 0)
    tensor([0.5000, 0.5000, 0.5000, 2.0000])
    """
    if torchscript.is_scripting():
        return torch.ops.qat.float_step(v, mantissa_bits, min_exponent)
    return float_python.float_step(v, mantissa_bits, min_exponent)
