"""The device that the recipe asks for."""

from __future__ import annotations

import warnings

import torch

from qat_cli.engine.machine import distributed
from qat_cli.errors import UserError


def choose_device(name: str) -> torch.device:
    """``auto`` is the first GPU if there is one, else the CPU; other names are taken as given.

    Of several processes on a machine each gets a GPU of its own.

    Raises:
        UserError: the device is not there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about drivers; doctor reports them
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    device = torch.device(name)
    if distributed.size() > 1 and device.type != "cpu":
        return _own_gpu(device, gpus)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise UserError(
            f"device {name!r} is not there: torch finds {gpus} GPU(s); use --device cpu, "
            "and see qat doctor."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device 'mps' is not there; use --device cpu.")
    return device


def _own_gpu(device: torch.device, gpus: int) -> torch.device:
    count = distributed.local_size()
    if device.type == "mps" or device.index is not None:
        raise UserError(
            f"device {str(device)!r} is one device, and there are {distributed.size()} processes; "
            "use --device cuda, or --device cpu."
        )
    if count > gpus:
        raise UserError(
            f"{count} processes on this machine need {count} GPUs: torch finds {gpus}; start "
            f"{gpus or 'fewer'}, or use --device cpu."
        )
    own = torch.device("cuda", distributed.local_rank())
    torch.cuda.set_device(own)
    return own
