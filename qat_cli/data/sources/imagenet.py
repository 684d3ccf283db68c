"""ImageNet, or a part of it, in the usual folders."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from qat_cli.data.sources.source import Source, data_root
from qat_cli.errors import UserError

if TYPE_CHECKING:
    from qat_cli.data.dataset import Dataset
    from qat_cli.recipes.schema import DataConfig
    from qat_cli.terminal.console import Console

IMAGE_SIZE = 224
CENTER_CROP = 224 / 256  # published figures scale the shorter side to 256 and cut 224 out


def load_imagenet(config: DataConfig, console: Console) -> Dataset:
    """The folder ``imagenet/`` below ``data.root`` or ``QAT_DATA_DIR``; never downloaded.

    Its ``val/`` is the part that is evaluated; ``val_fraction`` of ``train/`` chooses the best
    checkpoint. Otherwise it is an image folder, see :func:`load_folder`.

    Raises:
        UserError: it is not there, with how to lay it out; or see :func:`load_folder`.
    """
    from qat_cli.data.images.folder import load_folder
    from qat_cli.recipes import changed

    root = data_root(config.root) / "imagenet"
    if not any((root / part).is_dir() for part in ("train", "val", "test")):
        raise UserError(
            f"dataset 'imagenet' is not in {root}, and its licence does not allow to download it "
            f"for you. Put it there (a link will do) as {root}/train/<class>/<image> and "
            f"{root}/val/<class>/<image>, with folders such as n01440764 for classes; or set "
            "data.root or QAT_DATA_DIR to the folder that imagenet/ is in; or give the path of any "
            "image folder as --data FOLDER."
        )
    folder = changed(
        config,
        {
            "name": str(root),
            "image_size": config.image_size or IMAGE_SIZE,
            "center_crop": config.center_crop or CENTER_CROP,
        },
    )
    return dataclasses.replace(load_folder(folder, console), name="imagenet")


SOURCES = (
    Source(
        name="imagenet",
        what="photographs",
        images=1_331_167,
        classes=1000,
        size="3x224x224",
        load=load_imagenet,
        kept_in="{root}/imagenet",
        smallest_crop=0.08,
    ),
)
