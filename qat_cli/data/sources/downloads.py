"""The classic sets that torchvision downloads: mnist, fashion_mnist, cifar10, cifar100."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qat_cli.data.dataset import Dataset, Part
from qat_cli.data.images.source import MemoryImages, gray_to_rgb, resized
from qat_cli.data.sources.fetch import fetch
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig
from qat_cli.terminal.console import Console


@dataclass(frozen=True)
class DownloadedSet:
    """The torchvision class and the usual normalisation, for images scaled to [0, 1]."""

    torchvision_name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


DOWNLOADED_SETS: Mapping[str, DownloadedSet] = {
    "mnist": DownloadedSet("MNIST", (0.1307,), (0.3081,)),
    "fashion_mnist": DownloadedSet("FashionMNIST", (0.2860,), (0.3530,)),
    "cifar10": DownloadedSet("CIFAR10", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": DownloadedSet("CIFAR100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def load_downloaded(config: DataConfig, console: Console) -> Dataset:
    """One of ``DOWNLOADED_SETS``: its own test part; a validation part split off its train part.

    Raises:
        UserError: it is not on this machine and cannot be downloaded, or the files are damaged.
    """
    source = DOWNLOADED_SETS[config.name]
    root = data_root(config)
    train_set, test_set = _train_and_test(config.name, source, root, console)
    train, val = _part(train_set, config).split(config.val_fraction, config.split_seed)
    test = _part(test_set, config)
    repeat = test.images.shape[0] // len(source.mean)  # 3 for grey images used as RGB
    return Dataset(
        name=config.name,
        classes=[str(name) for name in train_set.classes],
        mean=list(source.mean) * repeat,
        std=list(source.std) * repeat,
        parts={"train": train, "val": val, "test": test},
        center_crop=config.center_crop or 1.0,
    )


def data_root(config: DataConfig) -> Path:
    """Where downloads go: ``data.root``, else ``$QAT_DATA_DIR``, else ``~/.cache/qat/data``."""
    named = config.root or os.environ.get("QAT_DATA_DIR")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "qat" / "data"


def _train_and_test(
    name: str, source: DownloadedSet, root: Path, console: Console
) -> tuple[Any, Any]:
    kind = _torchvision_class(source)
    try:
        return kind(str(root), True), kind(str(root), False)
    except (OSError, RuntimeError, EOFError, ValueError):
        pass  # not there, or not whole
    try:
        for urls, path, md5 in _archives(source, root):
            path.parent.mkdir(parents=True, exist_ok=True)
            fetch(urls, path, md5, console)
        with contextlib.redirect_stdout(sys.stderr):  # standard output belongs to the answer
            train_set = kind(str(root), True, download=True)  # unpacks what is there now
        return train_set, kind(str(root), False)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(
            f"dataset {name!r} is not ready in {root} and could not be downloaded ({error}); "
            "without a network, copy torchvision's files there or point data.root or QAT_DATA_DIR "
            "at them, or use --data digits or --data FOLDER with train/<class>/<image>."
        ) from error


def _archives(source: DownloadedSet, root: Path) -> list[tuple[list[str], Path, str]]:
    # (addresses, where torchvision looks for the file, its MD5), as torchvision has them
    kind = _torchvision_class(source)
    if hasattr(kind, "resources"):
        folder = root / source.torchvision_name / "raw"
        return [
            ([f"{mirror}{file}" for mirror in kind.mirrors], folder / file, md5)
            for file, md5 in kind.resources
        ]
    return [([kind.url], root / kind.filename, kind.tgz_md5)]


def _torchvision_class(source: DownloadedSet) -> Any:
    from torchvision import datasets

    return getattr(datasets, source.torchvision_name)


def _part(torchvision_set: Any, config: DataConfig) -> Part:
    raw = torch.as_tensor(torchvision_set.data)
    pixels = _channels_first(raw)
    if config.channels == 3 and pixels.shape[1] == 1:
        pixels = gray_to_rgb(pixels)
    elif config.channels == 1 and pixels.shape[1] == 3:
        pixels = rgb_to_gray(pixels)
    labels = torch.as_tensor(torchvision_set.targets).long()
    return Part(
        MemoryImages(resized(pixels.contiguous(), config.image_size, config.center_crop or 1.0)),
        labels,
    )


def _channels_first(raw: Tensor) -> Tensor:
    # (N, H, W) -> (N, 1, H, W); (N, H, W, 3) -> (N, 3, H, W)
    return raw[:, None] if raw.ndim == 3 else raw.permute(0, 3, 1, 2)


def rgb_to_gray(pixels: Tensor) -> Tensor:
    """Luma of ITU-R BT.601: uint8 [N, 3, H, W] -> [N, 1, H, W]."""
    weight = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    return (pixels.float() * weight).sum(1, keepdim=True).round_().to(torch.uint8)
