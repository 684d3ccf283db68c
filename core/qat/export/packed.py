"""The target ``packed``: a file as small as its bits say.

A safetensors file. An integer weight ``w`` is the tensor ``w`` of packed bytes
(:mod:`qat.ops.packed`), beside ``w.scale`` and, where it is not zero, ``w.zero_point``; all other
entries of the state dict, those of quantizers left out, are as they were. The metadata holds, under
``parameters``, a JSON object with bits, sign, range and shape of each integer weight.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qat.export.program import FloatPart, IntParameter
from qat.export.read import read_weights
from qat.formats import IntFormat
from qat.granularity import NAMES, Granularity
from qat.ops.packed import pack_bits, unpack_bits
from qat.proxy import QuantProxy

VERSION = "1"


@dataclass(frozen=True)
class Packed:
    """A packed file in memory: integer weights, and everything that stayed float."""

    weights: dict[str, IntParameter]
    others: dict[str, Tensor]


def write_packed(model: nn.Module, path: Path) -> list[FloatPart]:
    """Write the network's parameters to ``path``, replacing what is there.

    Returns:
        The quantized weights that are kept as floats, each with its reason.
    Raises:
        OSError: ``path`` cannot be written.
    """
    from safetensors.torch import save_file

    weights, kept = _split(model)
    tensors: dict[str, Tensor] = {}
    for weight in weights:
        tensors[weight.name] = pack_bits(weight.integers, weight.format)
        tensors[f"{weight.name}.scale"] = weight.scale
        if bool(weight.zero_point.ne(0).any()):
            tensors[f"{weight.name}.zero_point"] = weight.zero_point
    tensors |= _others(model, {weight.name for weight in weights})
    described = {weight.name: _described(weight) for weight in weights}
    metadata = {"version": VERSION, "parameters": json.dumps(described)}
    # copies: safetensors refuses tensors that share memory
    save_file(
        {name: x.detach().cpu().clone().contiguous() for name, x in tensors.items()}, path, metadata
    )
    return kept


def read_packed(path: Path) -> Packed:
    """Read a file that :func:`write_packed` wrote.

    Raises:
        ValueError: a file of another kind or version.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("version") != VERSION or "parameters" not in metadata:
            raise ValueError(f"{path} is not a packed network of version {VERSION}.")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weights = {
        name: _unpacked(name, entry, tensors)
        for name, entry in json.loads(metadata["parameters"]).items()
    }
    return Packed(weights, tensors)


def _split(model: nn.Module) -> tuple[list[IntParameter], list[FloatPart]]:
    weights, kept = [], []
    for found in read_weights(model):
        if isinstance(found, FloatPart):
            kept.append(found)
        elif found.format.bits > 8:
            kept.append(FloatPart(found.name, f"{found.format.bits} bits; up to 8 are packed"))
        else:
            weights.append(found)
    return weights, kept


def _others(model: nn.Module, packed: set[str]) -> dict[str, Tensor]:
    quantizers = tuple(
        f"{name}." for name, module in model.named_modules() if isinstance(module, QuantProxy)
    )
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name not in packed and not name.startswith(quantizers)
    }


def _described(weight: IntParameter) -> dict[str, Any]:
    return {
        "format": asdict(weight.format),
        "shape": list(weight.integers.shape),
        "granularity": {"kind": NAMES[type(weight.granularity)], **asdict(weight.granularity)},
    }


def _unpacked(name: str, entry: dict[str, Any], tensors: dict[str, Tensor]) -> IntParameter:
    format, shape = IntFormat(**entry["format"]), entry["shape"]
    integers = unpack_bits(tensors.pop(name), format, torch.Size(shape).numel()).reshape(shape)
    scale = tensors.pop(f"{name}.scale")
    zero_point = tensors.pop(f"{name}.zero_point", torch.zeros_like(scale))
    return IntParameter(name, integers, format, scale, zero_point, _granularity(entry))


def _granularity(entry: dict[str, Any]) -> Granularity:
    fields = dict(entry["granularity"])
    kinds = {name: kind for kind, name in NAMES.items()}
    granularity: Granularity = kinds[fields.pop("kind")](**fields)
    return granularity
