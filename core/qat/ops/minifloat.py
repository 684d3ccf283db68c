"""The minifloat quantizer as one op: divide, round to the format's grid, clamp, multiply.

In one piece for its gradient, with one tensor saved, its input, as the integer quantizers of
:mod:`qat.ops.fake_quantize` are. There is no kernel of its own: the same torch ops run on every
device.
"""

from typing import Optional

import torch
from torch import Tensor

from qat import torchscript
from qat.ops.reference import minifloat as float_python


def float_fake_quantize(
    x: Tensor,
    scale: Tensor,
    mantissa_bits: int,
    min_exponent: int,
    min_value: float,
    max_value: float,
    overflow: Optional[float],
    clipped: bool,
) -> Tensor:
    """``y = scale * clamp(round_to_grid(x / scale), min_value, max_value)``.

    The grid is that of :func:`qat.ops.float_step`: ``mantissa_bits`` after the leading one, down to
    the exponent ``min_exponent``, and subnormal numbers below; halves go to the even one. Float16
    and bfloat16 are computed in float32.

    Args:
        x: float, any shape.
        scale: float, positive, broadcastable to ``x``.
        mantissa_bits, min_exponent, min_value, max_value: the format, see
            :class:`qat.formats.FloatFormat`.
        overflow: what becomes of what is rounded to a number beyond the largest: infinity (with the
            sign of ``x``) or NaN; None saturates, infinities included.
        clipped: whether the gradient of ``x`` stops there; otherwise it goes straight through.
    Returns:
        Shape of ``x``, and its dtype or the wider one of a ``scale`` of one dimension or more. Zero
        stays zero, NaN stays NaN.
    Gradient: to ``x`` that of the identity (zero where clipped). To ``scale``, summed:
        ``y / scale - x / scale``, and ``y / scale`` where clipped, none where it overflows to
        infinity or NaN.

    >>> x, one = torch.tensor([0.3, 1.25, 2.4, 9.0]), torch.tensor(1.0)
    >>> float_fake_quantize(x, one, 1, 0, -6.0, 6.0, None, True)  # E2M1
    tensor([0.5000, 1.0000, 2.0000, 6.0000])
    """
    if torchscript.is_scripting():
        return torch.ops.qat.float_fake_quantize(
            x, scale, mantissa_bits, min_exponent, min_value, max_value, overflow, clipped
        )
    y: Tensor = float_python.float_fake_quantize(
        x, scale, mantissa_bits, min_exponent, min_value, max_value, overflow, clipped
    )
    return y
