"""Order statistics of rows: exact, without sorting, with shapes known ahead.

:mod:`qat.ops.statistics` declares and documents the ops. All can be called from TorchScript.
"""

import torch
from torch import Tensor


def _block_for(count: int, k: int) -> int:
    # Larger blocks: fewer maxima to choose from, more elements to choose from after that. The two
    # balance where block * block * k is about the count. Below 8 the detour does not pay.
    for block in (64, 32, 16, 8):
        if block * block * k <= count:
            return block
    return 0


def kth_largest_of_rows(magnitudes: Tensor, k: int) -> Tensor:
    """``[rows, n]`` -> ``[rows]``: the k-th largest of each row, NaN counted among the largest.

    The ``k`` largest of a row lie in the ``k`` blocks with the largest maxima: were one of them in
    another block, ``k`` elements would be no smaller than it. So only those blocks are looked at.
    """
    rows, count = magnitudes.shape[0], magnitudes.shape[1]
    block = _block_for(count, k)
    if block == 0:
        # kthvalue of half precision is missing on some devices; float32 holds its values.
        is_wide = magnitudes.dtype == torch.float64
        wide = magnitudes if is_wide else magnitudes.float()
        return torch.kthvalue(wide, count - k + 1, dim=1)[0].to(magnitudes.dtype)
    blocks = count // block
    # Block i holds the elements i, i + blocks, i + 2 * blocks, ...: a maximum of whole vectors.
    grouped = magnitudes[:, : blocks * block].reshape(rows, block, blocks)
    chosen = torch.topk(torch.amax(grouped, dim=1), k, dim=1, sorted=False)[1]
    candidates = grouped.gather(2, chosen.unsqueeze(1).expand(-1, block, -1)).reshape(rows, -1)
    candidates = torch.cat([candidates, magnitudes[:, blocks * block :]], dim=1)
    return torch.topk(candidates, k, dim=1)[0][:, k - 1].clone()


def check_rank(k: int, count: int) -> None:
    if k < 1 or k > count:
        raise ValueError(
            f"abs_kth_largest: k is {k} for {count} elements; it must be from 1 to their number."
        )


def larger_magnitude(lowest: Tensor, highest: Tensor) -> Tensor:
    """The largest magnitude of what lies between the two."""
    return torch.maximum(highest, -lowest).abs()  # abs: of zeros, -lowest is -0
