"""The device that the recipe asks for."""

from __future__ import annotations

import warnings

import torch

from qat_cli.errors import UserError


def choose_device(name: str) -> torch.device:
    """``auto`` is the first GPU if there is one, else the CPU; other names are taken as given.

    Raises:
        UserError: the device is not there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about drivers; doctor reports them
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise UserError(
            f"device {name!r} is not there: torch finds {gpus} GPU(s); use --device cpu, "
            "and see qat doctor."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device 'mps' is not there; use --device cpu.")
    return device
