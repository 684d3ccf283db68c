"""Weights of a float model from the files that people have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from qat_cli.checkpoint.reading import read_tensor_file
from qat_cli.errors import UserError

# Where training programs keep the state dict inside what they save; tried in this order.
CONTAINERS = ("weights", "state_dict", "model_state_dict", "model", "net")
QUANTIZER_MARK = "_quant."  # in the name of every tensor that a quantizer keeps
PREFIXES = ("module.", "_orig_mod.")  # put in front by DataParallel and torch.compile
# Attributes in which wrappers keep a module, so that they are in the names of what it holds.
WRAPPED = frozenset({"module", "_orig_mod", "_checkpoint_wrapped_module"})
LISTED = 8  # names of each kind in one error, so that what follows stays on the screen


@dataclass(frozen=True)
class WeightsFile:
    """A state dict from a file: ``path`` for messages, ``state`` with the names of the file."""

    path: Path
    state: Mapping[str, Tensor]


def read_weights(path: str | Path) -> WeightsFile:
    """Read a state dict, wherever it sits in the file; :func:`named_as_in` fits its names.

    Args:
        path: a checkpoint of this program, a plain state dict, or a training checkpoint with one
            under ``state_dict`` or ``model``; written by ``torch.save`` on any device, or
            safetensors.
    Raises:
        UserError: see :func:`read_tensor_file`; or there is no state dict in the file.
    """
    path = Path(path).expanduser()
    state = _find_state(read_tensor_file(path))
    if state is None:
        raise UserError(
            f"{path} holds no state dict (a mapping of names to tensors), neither at its top nor "
            f"under {', '.join(CONTAINERS)}."
        )
    return WeightsFile(path, state)


def named_as_in(model: nn.Module, weights: WeightsFile) -> WeightsFile:
    """``weights`` with the names of ``model``: without those of wrappers, where it has none.

    A model may have parts of its own that are called as a wrapper calls what it wraps, so as many
    prefixes are taken off as leave the most names that the model knows.
    """
    own = set(model.state_dict())
    candidates = _without_prefixes(weights.state)
    state = max(reversed(candidates), key=lambda state: len(own & state.keys()))
    return WeightsFile(weights.path, {_known(key, own): v for key, v in state.items()})


def load_weights(model: nn.Module, weights: WeightsFile) -> None:
    """Copy ``weights`` into ``model``; every name and shape must fit, see :func:`named_as_in`.

    Counters of batch normalisation, which old files lack, may be missing.

    Raises:
        UserError: names missing from the file, unexpected ones, and shapes that differ, together.
    """
    weights = named_as_in(model, weights)
    own = model.state_dict()
    missing = [key for key in own if key not in weights.state and not _is_counter(key)]
    unexpected = [key for key in weights.state if key not in own]
    reshaped = [
        f"{key}: {_shape(weights.state[key])} in the file, {_shape(own[key])} in the model"
        for key in own
        if key in weights.state and weights.state[key].shape != own[key].shape
    ]
    if missing or unexpected or reshaped:
        lines = [f"{weights.path} does not fit the model:"]
        lines += _listed("other shapes", reshaped)
        lines += _listed("missing from the file", [f"{k} {_shape(own[k])}" for k in missing])
        lines += _listed(
            "not in the model", [f"{k} {_shape(weights.state[k])}" for k in unexpected]
        )
        lines.append("Are they of another model? Then name that one with --model.")
        raise UserError("\n".join(lines))
    model.load_state_dict({**own, **weights.state})


def _find_state(document: Any) -> dict[str, Tensor] | None:
    if not isinstance(document, Mapping):
        return None
    for name in CONTAINERS:
        inner = document.get(name)
        if isinstance(inner, Mapping) and any(isinstance(v, Tensor) for v in inner.values()):
            return _tensors(inner)
    return _tensors(document) or None


def _tensors(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {key: v for key, v in mapping.items() if isinstance(key, str) and isinstance(v, Tensor)}


def _without_prefixes(state: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
    """``state``, and what is left of it with each prefix that all of its names have taken off."""
    found = [state]
    for prefix in PREFIXES * 2:  # either may stand outside the other
        if found[-1] and all(key.startswith(prefix) for key in found[-1]):
            found.append({key.removeprefix(prefix): value for key, value in found[-1].items()})
    return found


def _known(key: str, own: set[str]) -> str:
    """``key``, without the wrappers inside the model where that is how the model calls it."""
    plain = ".".join(part for part in key.split(".") if part not in WRAPPED)
    return plain if key not in own and plain in own else key


def _is_counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _listed(title: str, entries: Iterable[str]) -> list[str]:
    entries = list(entries)
    if not entries:
        return []
    count = len(entries)
    if len(entries) > LISTED:
        half = LISTED // 2
        left_out = f"... {len(entries) - 2 * half} more ..."
        entries = [*entries[:half], left_out, *entries[-half:]]
    return [f"  {title} ({count}):", *(f"    {entry}" for entry in entries)]
