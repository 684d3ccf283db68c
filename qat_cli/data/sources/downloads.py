"""The classic sets that torchvision downloads."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qat_cli.data.sources.fetch import fetch
from qat_cli.data.sources.source import Source, data_root
from qat_cli.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from qat_cli.data.dataset import Dataset, Part
    from qat_cli.recipes.schema import DataConfig
    from qat_cli.terminal.console import Console


@dataclass(frozen=True)
class Download:
    """Loads a set of torchvision: its own test part; a validation part split off its train part.

    Args:
        torchvision_name: the class in ``torchvision.datasets``.
        mean, std: the usual normalisation, for images scaled to [0, 1].
    """

    torchvision_name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, config: DataConfig, console: Console) -> Dataset:
        """The set as ``config`` wants it, downloaded where it is not there.

        Raises:
            UserError: it is not on this machine and cannot be downloaded, or the files are damaged.
        """
        from qat_cli.data.dataset import Dataset

        root = data_root(config.root)
        train_set, test_set = _train_and_test(config.name, self.torchvision_name, root, console)
        train, val = _part(train_set, config).split(config.val_fraction, config.split_seed)
        test = _part(test_set, config)
        repeat = test.images.shape[0] // len(self.mean)  # 3 for grey images used as RGB
        return Dataset(
            name=config.name,
            classes=[str(name) for name in train_set.classes],
            mean=list(self.mean) * repeat,
            std=list(self.std) * repeat,
            parts={"train": train, "val": val, "test": test},
            center_crop=config.center_crop or 1.0,
        )


def _train_and_test(
    name: str, torchvision_name: str, root: Path, console: Console
) -> tuple[Any, Any]:
    from torchvision import datasets

    kind = getattr(datasets, torchvision_name)
    try:
        return kind(str(root), True), kind(str(root), False)
    except (OSError, RuntimeError, EOFError, ValueError):
        pass  # not there, or not whole
    try:
        for urls, path, md5 in _archives(kind, root / torchvision_name, root):
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


def _archives(kind: Any, folder: Path, root: Path) -> list[tuple[list[str], Path, str]]:
    # (addresses, where torchvision looks for the file, its MD5), as torchvision has them
    if hasattr(kind, "resources"):
        return [
            ([f"{mirror}{file}" for mirror in kind.mirrors], folder / "raw" / file, md5)
            for file, md5 in kind.resources
        ]
    return [([kind.url], root / kind.filename, kind.tgz_md5)]


def _part(torchvision_set: Any, config: DataConfig) -> Part:
    import torch

    from qat_cli.data.dataset import Part
    from qat_cli.data.images.stores import MemoryImages, gray_to_rgb, resized, rgb_to_gray

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


SOURCES = (
    Source(
        name="mnist",
        what="handwritten digits",
        images=70_000,
        classes=10,
        size="1x28x28",
        load=Download("MNIST", (0.1307,), (0.3081,)),
        is_downloaded=True,
        is_drawing=True,
    ),
    Source(
        name="fashion_mnist",
        what="clothes",
        images=70_000,
        classes=10,
        size="1x28x28",
        load=Download("FashionMNIST", (0.2860,), (0.3530,)),
        is_downloaded=True,
        is_drawing=True,
    ),
    Source(
        name="cifar10",
        what="small photographs",
        images=60_000,
        classes=10,
        size="3x32x32",
        load=Download("CIFAR10", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        is_downloaded=True,
    ),
    Source(
        name="cifar100",
        what="small photographs",
        images=60_000,
        classes=100,
        size="3x32x32",
        load=Download("CIFAR100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        is_downloaded=True,
    ),
)
