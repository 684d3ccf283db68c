"""Seeds and random states."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from qat_cli.errors import WorkFailed
from qat_cli.recipes import Recipe


def seed_everything(seed: int, device: torch.device) -> None:
    """Seed Python, NumPy and torch; on a GPU also choose algorithms that repeat exactly."""
    random.seed(seed)
    torch.manual_seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by cuBLAS
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
        warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")


@contextmanager
def deterministic(recipe: Recipe) -> Iterator[None]:
    """Inside this context, with ``train.deterministic``, an operation repeats exactly or fails.

    Raises:
        WorkFailed: an operation has no implementation that repeats exactly; it is named.
    """
    if not recipe.train.deterministic:
        yield
        return
    cudnn = torch.backends.cudnn
    mode, before = torch.get_deterministic_debug_mode(), (cudnn.benchmark, cudnn.deterministic)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    except RuntimeError as error:
        if "does not have a deterministic implementation" not in str(error):
            raise
        raise WorkFailed(
            f"train.deterministic: {str(error).partition(', but')[0]} on this device; leave "
            "--deterministic out, or change the model."
        ) from error
    finally:
        torch.set_deterministic_debug_mode(mode)
        cudnn.benchmark, cudnn.deterministic = before


def random_states() -> dict[str, Any]:
    """The state of every generator in use, as plain values and tensors."""
    version, numbers, gauss = random.getstate()
    states: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    if "numpy" in sys.modules:
        name, keys, *rest = sys.modules["numpy"].random.get_state()
        states["numpy"] = [name, keys.tolist(), *rest]
    return states


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Go on from what :func:`random_states` returned; GPU states only on as many GPUs."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all(states["cuda"])
    if "numpy" in states and "numpy" in sys.modules:
        sys.modules["numpy"].random.set_state(tuple(states["numpy"]))


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Numbers drawn inside this context do not change those drawn after it."""
    states = random_states()
    try:
        yield
    finally:
        restore_random_states(states)
