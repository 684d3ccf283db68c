"""Image files to uint8 tensors, several threads at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from qat_cli.errors import UserError

MAX_NAMED_FILES = 5  # an error names so many files and counts the rest
TINY_PIXELS = 64 * 64  # up to here threads wait for each other longer than they decode
FILES_PER_TASK = 16  # handing over every small file alone costs more than decoding it
PILLOW_MODE = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class ImageFormat:
    """The shape that every image is brought to.

    ``resize`` True: the shorter side is scaled (bilinear) and the centre cut out. False: an image
    of another size is an error.
    """

    channels: int
    height: int
    width: int
    resize: bool


def decode_files(
    paths: Sequence[Path],
    form: ImageFormat,
    workers: int = 0,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Decode ``paths`` to uint8 [N, C, H, W], in order.

    Args:
        paths: image files that Pillow can read.
        form: the shape of the result.
        workers: threads; 0 means one per core, or a single one for tiny images.
        on_progress: called with the number of files done, now and then.
    Raises:
        UserError: a file is no image, is damaged, or has another size than ``form`` allows; names
            the first files and counts all of them.
    """
    pixels = np.empty((len(paths), form.channels, form.height, form.width), dtype=np.uint8)
    problems: list[str] = []

    def decode_into(positions: range) -> list[str]:
        found = []
        for position in positions:
            try:
                pixels[position] = _decode(paths[position], form)
            except _BAD_IMAGE as error:
                found.append(f"{paths[position]}: {_reason(error)}")
        return found

    chunks = [
        range(start, min(start + FILES_PER_TASK, len(paths)))
        for start in range(0, len(paths), FILES_PER_TASK)
    ]
    with ThreadPoolExecutor(workers or _good_thread_count(form)) as pool:
        for chunk, found in zip(chunks, pool.map(decode_into, chunks), strict=True):
            problems += found
            on_progress(chunk.stop)
    if problems:
        raise UserError(_problems_text(problems, len(paths)))
    return torch.from_numpy(pixels)


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, from its header.

    Raises:
        UserError: the file is no image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except _BAD_IMAGE as error:
        raise UserError(_problems_text([f"{path}: {_reason(error)}"], 1)) from error


# What Pillow raises for files that are no images, damaged, or absurdly large.
_BAD_IMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


class _WrongSize(ValueError):
    """An image whose size differs from the first one's."""


def _good_thread_count(form: ImageFormat) -> int:
    tiny = not form.resize and form.height * form.width <= TINY_PIXELS
    return 1 if tiny else os.cpu_count() or 1


def _decode(path: Path, form: ImageFormat) -> np.ndarray:
    with Image.open(path) as image:
        if (image.height, image.width) != (form.height, form.width):
            if not form.resize:
                raise _WrongSize(
                    f"is {image.width}x{image.height} pixels, not {form.width}x{form.height} as "
                    f"the first image; set a common size, for example data.image_size={form.height}"
                )
            image = _scaled_and_cropped(image, form)
        array = np.asarray(image.convert(PILLOW_MODE[form.channels]))
    return array[None] if form.channels == 1 else array.transpose(2, 0, 1)  # (H, W, C) -> (C, H, W)


def _scaled_and_cropped(image: Image.Image, form: ImageFormat) -> Image.Image:
    ratio = max(form.height / image.height, form.width / image.width)
    width = max(form.width, round(image.width * ratio))
    height = max(form.height, round(image.height * ratio))
    mode = PILLOW_MODE[form.channels]  # before scaling: palette images cannot be interpolated
    scaled = image.convert(mode).resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - form.width) // 2, (height - form.height) // 2
    return scaled.crop((left, top, left + form.width, top + form.height))


def _reason(error: BaseException) -> str:
    if isinstance(error, _WrongSize):
        return str(error)
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    return "is no image, or is damaged"


def _problems_text(problems: list[str], total: int) -> str:
    if len(problems) == 1:
        return f"cannot use the image {problems[0]}"
    lines = [f"cannot use {len(problems)} of {total} images:"]
    lines += [f"  {problem}" for problem in problems[:MAX_NAMED_FILES]]
    if len(problems) > MAX_NAMED_FILES:
        lines.append(f"  and {len(problems) - MAX_NAMED_FILES} more")
    return "\n".join(lines)
