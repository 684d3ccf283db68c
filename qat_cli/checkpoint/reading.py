"""Reading tensor files without ever running code from them.

Covers safetensors and what ``torch.save`` writes, in its zip and its older form. ``torch.load``
does not verify the checksums inside a zip, so they are verified here first: a flipped bit is found
instead of loaded.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from qat_cli.errors import UserError

ZIP_MAGIC = b"PK\x03\x04"
TORCH_PICKLE_PROTOCOL = 2
# How torch names what it refuses to import while it reads.
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")


def read_tensor_file(path: Path) -> Any:
    """What a ``.safetensors`` or ``torch.save`` file holds, with tensors on the CPU.

    Raises:
        UserError: the file is missing, unreadable, truncated, altered, of another kind, or would
            run code.
    """
    try:
        with open(path, "rb") as stream:
            start = stream.read(4)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except IsADirectoryError:
        best = path / "checkpoints" / "best.pt"
        inside = f", {best}" if best.is_file() else ""
        raise UserError(
            f"{path} is a folder; give the file of a checkpoint in it{inside}."
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error
    if not start:
        raise UserError(f"{path} is empty; copy or train it again.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if start == ZIP_MAGIC:
        _verify_zip(path)
    return _read_torch(path)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is not a safetensors file, or is damaged ({error}).") from error


def _verify_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
        raise UserError(
            f"{path} is truncated or damaged ({error}); copy or download it again, or use an older "
            "checkpoint."
        ) from error
    if damaged is not None:
        raise UserError(
            f"{path} is damaged: the checksum of {damaged!r} inside it does not match; copy or "
            "download it again, or use an older checkpoint."
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise UserError(f"{path} is a zip archive, but not one that torch.save wrote.")


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # Files of other pickle protocols are read or refused like any other.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(_why_not_unpickled(path, str(error))) from None
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, OSError) as error:
        raise UserError(_not_a_checkpoint(path)) from error


def _why_not_unpickled(path: Path, message: str) -> str:
    refused = _REFUSED.search(message)
    with open(path, "rb") as stream:
        start = stream.read(4)
    if refused is not None or start == ZIP_MAGIC:  # a zip that passed its checksums is whole
        named = f" (it names {refused.group(1)})" if refused else ""
        return (
            f"{path} holds more than tensors: reading it would run code from the file{named}, so "
            "it was not read. Where it comes from, save model.state_dict() alone, with torch.save "
            "or safetensors."
        )
    if start[:1] == b"\x80" and start[1] > TORCH_PICKLE_PROTOCOL:
        return (
            f"{path} is a Python pickle, not a tensor file: reading it could run code, so it was "
            "not read. Save the model.state_dict() with torch.save or safetensors."
        )
    return _not_a_checkpoint(path)


def _not_a_checkpoint(path: Path) -> str:
    return (
        f"{path} is not a checkpoint that torch can read, or is truncated; give a file written "
        "with torch.save or safetensors."
    )
