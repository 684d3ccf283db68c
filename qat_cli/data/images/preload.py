"""Passes over all images of a part, decoding with several threads.

Bad files are left out or refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor

from qat_cli.data.dataset import Dataset, Part
from qat_cli.data.images.decode import listed, refuse_bad_files
from qat_cli.data.images.read_ahead import read_ahead, thread_count
from qat_cli.data.images.stores import ImageStore, MemoryImages
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig
from qat_cli.terminal.console import Console
from qat_cli.terminal.ticker import Ticker

GIB = 2**30
MOST_MEMORY = 8 * GIB  # decoded images beyond this, or a third of the machine, are streamed
TINY_PIXELS = 64 * 64  # up to here threads wait for each other longer than they decode
IMAGES_PER_JOB = 16  # handing over every small file alone costs more than decoding it
CHUNKS_WAITING = 4


def preloaded(
    dataset: Dataset, names: Iterable[str], config: DataConfig, console: Console
) -> Dataset:
    """``dataset`` with its parts ``names`` ready: decoded into memory once, with progress shown.

    Images that would take more than ``config.memory_limit`` stay in their files and are decoded
    batch by batch; that is said. So does a training part of which random crops are cut out of the
    files. With ``config.skip_bad_files`` the bad files of both are left out.

    Raises:
        UserError: a part is missing, or images cannot be used.
    """
    wanted = [name for name in names if not dataset.part(name).images.in_memory]
    stays = {name for name in wanted if name == "train" and _is_cropped_from_files(dataset, config)}
    size = sum(_bytes(dataset.parts[name].images) for name in wanted if name not in stays)
    if size > memory_limit(config):
        console.info(
            f"images decoded would take {size / GIB:.1f} GiB of memory; they are decoded batch by "
            "batch instead (data.memory_limit)"
        )
        stays = set(wanted)
    elif stays:
        console.info("training images are cropped at random out of their files, batch by batch")
    for name in wanted:
        prepare = _checked if name in stays else _decoded
        part = prepare(dataset.parts[name], name, config, console)
        _check_classes(dataset.parts[name], part, name, dataset.classes)
        dataset = dataset.with_part(name, part)
    return dataset


def memory_limit(config: DataConfig) -> int:
    """Bytes that decoded images may take in this process, one of ``LOCAL_WORLD_SIZE`` here."""
    if config.memory_limit is not None:
        return int(config.memory_limit * GIB)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return MOST_MEMORY // processes
    return min(MOST_MEMORY, physical // 3) // processes


def without_bad_files(part: Part, name: str, config: DataConfig, console: Console) -> Part:
    """``part`` without the files that cannot be decoded, where ``config.skip_bad_files`` says so.

    Raises:
        UserError: no file is left.
    """
    return part if part.images.in_memory else _checked(part, name, config, console)


def chunks_of(
    images: ImageStore,
    work: Callable[[Tensor], tuple[Tensor, dict[int, str]]],
    config: DataConfig,
    label: str,
    console: Console,
) -> Iterator[tuple[Tensor, Tensor, dict[int, str]]]:
    """Go through ``images`` in order, a few at a time, by several threads; progress is shown.

    Args:
        images: all of them are gone through.
        work: from positions, int64 [n], to a result and to the bad ones by row.
        config: says how many threads.
        label: what is being done.
        console: shows it.
    Yields:
        Positions, result, and bad files by position.
    """
    is_tiny = not images.is_larger_inside and images.shape[1] * images.shape[2] <= TINY_PIXELS
    threads = 1 if is_tiny and not config.workers else thread_count(config.workers)
    jobs = torch.arange(len(images)).split(IMAGES_PER_JOB)
    with Ticker(console, label, len(images)) as ticker:
        results = read_ahead(work, jobs, threads, CHUNKS_WAITING)
        for index, (result, bad) in zip(jobs, results, strict=True):
            first = int(index[0])
            yield index, result, {first + row: reason for row, reason in bad.items()}
            ticker.update(first + len(index))


def _is_cropped_from_files(dataset: Dataset, config: DataConfig) -> bool:
    images = dataset.part("train").images
    return bool(config.augment.random_resized_crop) and images.is_larger_inside


def _decoded(part: Part, name: str, config: DataConfig, console: Console) -> Part:
    images = part.images
    pixels = torch.empty(len(images), *images.shape, dtype=torch.uint8)
    bad: dict[int, str] = {}
    for index, decoded, found in chunks_of(
        images, images.readable, config, f"decoding {name} images", console
    ):
        pixels[index[0] : index[-1] + 1] = decoded
        bad |= found
    kept = _kept(len(images), bad, name, config, console)
    part = Part(MemoryImages(pixels), part.labels)
    return part if kept is None else part.select(kept)


def _checked(part: Part, name: str, config: DataConfig, console: Console) -> Part:
    if not config.skip_bad_files:
        return part  # a bad file is found when its batch is made
    look = partial(_look_at, part.images)
    bad: dict[int, str] = {}
    for _, _, found in chunks_of(part.images, look, config, f"checking {name} images", console):
        bad |= found
    kept = _kept(len(part), bad, name, config, console)
    return part if kept is None else part.select(kept)


def _look_at(images: ImageStore, index: Tensor) -> tuple[Tensor, dict[int, str]]:
    return index, images.unreadable(index)


def _kept(
    total: int, bad: dict[int, str], name: str, config: DataConfig, console: Console
) -> Tensor | None:
    # Positions of the images that can be used, None where all can.
    if not bad:
        return None
    if not config.skip_bad_files:
        refuse_bad_files(bad, total)
    problems = listed([bad[row] for row in sorted(bad)])
    if len(bad) == total:
        raise UserError(f"none of the {total} {name} images can be used:\n{problems}")
    console.warn(f"{len(bad)} of {total} {name} images left out:\n{problems}")
    return torch.tensor([row for row in range(total) if row not in bad])


def _check_classes(before: Part, after: Part, name: str, classes: list[str]) -> None:
    lost = sorted(set(before.labels.tolist()) - set(after.labels.tolist()))
    if lost:
        raise UserError(
            f"no {name} image of class {classes[lost[0]]!r} can be used; put good images there or "
            "remove the class."
        )


def _bytes(images: ImageStore) -> int:
    channels, height, width = images.shape
    return len(images) * channels * height * width
