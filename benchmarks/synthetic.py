"""An image folder of random JPEG files, for timing only."""

from __future__ import annotations

from pathlib import Path

import torch

CLASSES = 10
SIZE = 32  # pixels
IMAGES = {"train": 1280, "val": 160, "test": 160}  # 20 training batches of 64


def write_image_folder(root: Path) -> None:
    """Write ``root/<part>/<class>/<number>.jpg``, RGB noise with the same seed every time."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    for part, images in IMAGES.items():
        for number in range(images):
            folder = root / part / f"class{number % CLASSES}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = torch.randint(
                256, (SIZE, SIZE, 3), generator=generator, dtype=torch.uint8
            ).numpy()
            Image.fromarray(pixels).save(folder / f"{number:04d}.jpg")
