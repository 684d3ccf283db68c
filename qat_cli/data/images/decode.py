"""Image files to uint8 tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from qat_cli.data.augment.crops import RandomCrops
from qat_cli.errors import UserError

PILLOW_MODE = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class ImageFormat:
    """The shape that every image is brought to.

    ``resize`` True: the shorter side is scaled (bilinear) and the centre cut out. False: an image
    of another size is an error. ``center_crop`` in (0, 1] is the part of the shorter side that is
    kept where images are resized.
    """

    channels: int
    height: int
    width: int
    resize: bool
    center_crop: float = 1.0


def decode_files(
    paths: Sequence[Path], form: ImageFormat, crops: RandomCrops | None = None
) -> tuple[Tensor, dict[int, str]]:
    """Decode ``paths``, in order.

    Args:
        paths: image files that Pillow can read.
        form: the shape of the result.
        crops: instead of the centre, the part to cut out of each image; only where ``form``
            resizes.
    Returns:
        uint8 [N, C, H, W], and for each file that is not an image, is damaged or has another size
        than ``form`` allows, its position and what is wrong; its pixels are black.
    """
    pixels = np.zeros((len(paths), form.channels, form.height, form.width), dtype=np.uint8)
    bad: dict[int, str] = {}
    for position, path in enumerate(paths):
        try:
            pixels[position] = _decode(path, form, position, crops)
        except _BAD_IMAGE as error:
            bad[position] = f"{path}: {_reason(error)}"
    return torch.from_numpy(pixels), bad


def check_files(paths: Sequence[Path], form: ImageFormat) -> dict[int, str]:
    """The files that :func:`decode_files` could not use: position and what is wrong.

    Every file is read to its end, JPEG files at an eighth of their size, which takes about half
    the time.
    """
    bad = {}
    for position, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                _check_size(image, form)
                image.draft(None, (1, 1))
                image.load()
        except _BAD_IMAGE as error:
            bad[position] = f"{path}: {_reason(error)}"
    return bad


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, from its header.

    Raises:
        UserError: the file is not an image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except _BAD_IMAGE as error:
        raise UserError(bad_files_text([f"{path}: {_reason(error)}"], 1)) from error


# What Pillow raises for files that are not images, damaged, or absurdly large.
_BAD_IMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


class _WrongSize(ValueError):
    """An image whose size differs from the first one's."""


def _decode(path: Path, form: ImageFormat, row: int, crops: RandomCrops | None) -> np.ndarray:
    with Image.open(path) as image:
        _check_size(image, form)
        if crops is not None:
            image = _randomly_cropped(image, form, row, crops)
        elif form.center_crop < 1 or (image.height, image.width) != (form.height, form.width):
            image = _scaled_and_cropped(image, form)
        array = np.asarray(image.convert(PILLOW_MODE[form.channels]))
    return array[None] if form.channels == 1 else array.transpose(2, 0, 1)  # (H, W, C) -> (C, H, W)


def _check_size(image: Image.Image, form: ImageFormat) -> None:
    if not form.resize and (image.height, image.width) != (form.height, form.width):
        raise _WrongSize(
            f"is {image.width}x{image.height} pixels, not {form.width}x{form.height} as "
            f"the first image; set a common size, for example data.image_size={form.height}"
        )


def _scaled_and_cropped(image: Image.Image, form: ImageFormat) -> Image.Image:
    ratio = max(form.height / image.height, form.width / image.width) / form.center_crop
    width = max(form.width, round(image.width * ratio))
    height = max(form.height, round(image.height * ratio))
    mode = PILLOW_MODE[form.channels]  # before scaling: palette images cannot be interpolated
    scaled = image.convert(mode).resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - form.width) // 2, (height - form.height) // 2
    return scaled.crop((left, top, left + form.width, top + form.height))


def _randomly_cropped(
    image: Image.Image, form: ImageFormat, row: int, crops: RandomCrops
) -> Image.Image:
    box = crops.box(row, image.height, image.width)
    edges = (box.left, box.top, box.left + box.width, box.top + box.height)
    mode = PILLOW_MODE[form.channels]
    return image.convert(mode).resize((form.width, form.height), Image.Resampling.BILINEAR, edges)


def _reason(error: BaseException) -> str:
    if isinstance(error, _WrongSize):
        return str(error)
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    return "is not an image, or is damaged"


def refuse_bad_files(bad: Mapping[int, str], total: int) -> None:
    """Raise :class:`UserError` where there are bad files among ``total``; names the first ones."""
    if bad:
        raise UserError(bad_files_text([bad[row] for row in sorted(bad)], total))


def bad_files_text(problems: Sequence[str], total: int) -> str:
    """What to tell of files that cannot be used: one in a line, several as a list."""
    way_out = "; --skip-bad-files leaves such files out."
    if len(problems) == 1:
        return f"cannot use the image {problems[0]}{way_out}"
    return f"cannot use {len(problems)} of {total} images{way_out}\n{listed(problems)}"


MAX_NAMED_FILES = 5  # a message names so many files and counts the rest


def listed(problems: Sequence[str]) -> str:
    """One indented line for each of the first problems, and a count of the rest."""
    lines = [f"  {problem}" for problem in problems[:MAX_NAMED_FILES]]
    if len(problems) > MAX_NAMED_FILES:
        lines.append(f"  and {len(problems) - MAX_NAMED_FILES} more")
    return "\n".join(lines)
