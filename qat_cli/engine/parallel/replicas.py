"""Weights and quantizers that all processes share: copied, and compared."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from qat_cli.checkpoint import QUANTIZER_MARK
from qat_cli.engine.machine import distributed
from qat_cli.errors import WorkFailed


def copy_from_first(model: nn.Module) -> None:
    """Give every parameter and buffer the values that it has in the first process."""
    for tensor in [*model.parameters(), *model.buffers()]:
        distributed.overwritten_by_first(tensor)


def settle(model: nn.Module) -> None:
    """After an epoch: one state in all processes, which is what is measured and saved.

    Parameters and everything in quantizers must be the same already. Other buffers, such as the
    statistics of batch norms that are not synchronised, are taken from the first process.

    Raises:
        WorkFailed: a parameter or a quantizer is not the same everywhere.
    """
    if distributed.size() == 1:
        return
    for name, buffer in model.named_buffers():
        if QUANTIZER_MARK not in name:
            distributed.overwritten_by_first(buffer)
    state = {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}
    digests = distributed.gathered({name: _digest(tensor) for name, tensor in state.items()})
    different = [name for name in state if len({found.get(name) for found in digests}) > 1]
    if different:
        more = f" and {len(different) - 1} more" if len(different) > 1 else ""
        raise WorkFailed(
            f"the processes have come apart: {different[0]!r}{more} is not the same in all of "
            "them. Machines of different kinds round differently; a model or a quantizer of your "
            "own must not change its state by what only one process sees."
        )


def _digest(tensor: Tensor) -> bytes:
    numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.blake2b(numbers.numpy().data, digest_size=8).digest()
