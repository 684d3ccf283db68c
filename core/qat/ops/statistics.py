"""Order statistics of magnitudes, for absmax and percentile thresholds.

The few largest of a tensor are found without sorting it. Common to both functions: ``x`` is
float16, bfloat16, float32 or float64, of any memory format; NaN counts as larger than infinity, as
in ``torch.kthvalue``; no gradient is taken.
"""

import torch
from torch import Tensor

from qat.ops.reference.statistics import check_rank, kth_largest_of_rows, larger_magnitude
from qat.ops.table import op

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@op("abs_kth_largest(Tensor x, int k) -> Tensor")
def abs_kth_largest(x: Tensor, k: int) -> Tensor:
    """The k-th largest ``|x|``; ``k = 1`` is the absolute maximum.

    The native op reads ``x`` once, makes no copy of it, and costs about one ``torch.relu`` while
    ``k`` is small.

    Args:
        x: float, any shape, not empty.
        k: from 1 to the number of elements.
    Returns:
        0-dimensional, dtype and device of ``x``; does not require grad.
    Raises:
        ValueError: ``k`` outside its range, as any is for an empty tensor.
        TypeError: ``x`` is not of a floating-point dtype.

    >>> abs_kth_largest(torch.tensor([[1.0, -4.0], [3.0, -2.0]]), 2)
    tensor(3.)
    """
    if x.dtype not in DTYPES:
        raise TypeError(
            f"abs_kth_largest: x is of {x.dtype}; "
            f"it needs a float16, bfloat16, float32 or float64 tensor."
        )
    check_rank(k, x.numel())
    x = x.detach()
    if k == 1:
        lowest, highest = torch.aminmax(x)
        return larger_magnitude(lowest, highest)
    return kth_largest_of_rows(torch.abs(x).reshape(1, -1), k).reshape([])


def abs_kth_largest_of_rows(x: Tensor, k: int) -> Tensor:
    """The k-th largest ``|x|`` of each row.

    Args:
        x: float ``[rows, elements]``.
        k: from 1 to the number of elements of a row.
    Returns:
        ``[rows]``, dtype and device of ``x``; does not require grad.
    Raises:
        ValueError: ``k`` outside its range.

    >>> abs_kth_largest_of_rows(torch.tensor([[1.0, -4.0], [3.0, -2.0]]), 2)
    tensor([1., 2.])
    """
    check_rank(k, x.shape[1])
    x = x.detach()
    if k == 1:
        return larger_magnitude(torch.amin(x, dim=1), torch.amax(x, dim=1))
    return kth_largest_of_rows(torch.abs(x), k)
