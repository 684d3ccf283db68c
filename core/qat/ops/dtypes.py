"""Types of a quantizer's arithmetic and result.

Tensor and scale differ in their type under ``torch.autocast``: activations are of a half type, the
quantizer's state is float32. The integers are those of the wider type, whatever the shape of the
scale is; rounding the scale to the narrow one first would move it by up to a 500th in bfloat16,
which at 8 bits is half a step at the end of the grid.

All can be called from TorchScript, and under ``torch.compile``, which does not follow
``torch.result_type``.
"""

import torch
from torch import Tensor


def arithmetic_dtype(x: Tensor, scale: Tensor) -> torch.dtype:
    """The wider type of the two: that of ``x / scale`` and all that follows.

    >>> arithmetic_dtype(torch.ones(2, dtype=torch.bfloat16), torch.tensor(0.1))
    torch.float32
    """
    return torch.promote_types(x.dtype, scale.dtype)


def result_dtype(x: Tensor, scale: Tensor) -> torch.dtype:
    """The type of the quantized ``x``, by torch's rules for ``x * scale``.

    A tensor of no dimension does not widen one that has some.

    >>> result_dtype(torch.ones(2, dtype=torch.bfloat16), torch.tensor(0.1))
    torch.bfloat16
    >>> result_dtype(torch.ones(2, dtype=torch.bfloat16), torch.tensor([0.1]))
    torch.float32
    """
    if not x.is_floating_point() or (x.dim() == 0) == (scale.dim() == 0):
        return torch.promote_types(x.dtype, scale.dtype)
    return scale.dtype if x.dim() == 0 else x.dtype
