"""Batches: the same ones whenever they are asked for."""

import pytest
import torch

from qat_cli.data import Batches, Part, load_data
from qat_cli.data.augment import augmented
from qat_cli.data.images import MemoryImages
from qat_cli.recipes.schema import AugmentConfig, DataConfig

AUGMENT = AugmentConfig(crop_padding=2, horizontal_flip=True)


def part(count=10):
    pixels = torch.randint(0, 256, (count, 3, 6, 6), dtype=torch.uint8)
    return Part(MemoryImages(pixels), torch.arange(count))


def batches(images, **fields):
    return Batches(images, mean=[0.5] * 3, std=[0.25] * 3, batch_size=4, **fields)


def same(first, second):
    pairs = zip(first, second, strict=True)
    return all(torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in pairs)


def test_images_are_normalised():
    images = part()
    x, y = next(batches(images).epoch())
    expected = (images.images.pixels[:4].float() / 255 - 0.5) / 0.25
    assert torch.allclose(x, expected)
    assert y.tolist() == [0, 1, 2, 3]


def test_every_image_comes_once_per_epoch():
    labels = torch.cat([y for _, y in batches(part(), shuffle=True).epoch(3)])
    assert sorted(labels.tolist()) == list(range(10))


def test_an_epoch_is_the_same_when_asked_for_again_and_differs_from_the_next():
    train = batches(part(), shuffle=True, augment=AUGMENT, seed=1)
    assert same(train.epoch(0), train.epoch(0))
    assert not same(train.epoch(0), train.epoch(1))


def test_an_epoch_can_be_entered_in_the_middle():
    train = batches(part(), shuffle=True, augment=AUGMENT)
    assert same(list(train.epoch(2))[1:], train.epoch(2, first_batch=1))
    assert list(train.epoch(2, first_batch=len(train))) == []


def test_a_last_training_batch_of_one_image_is_left_out():
    train, evaluation = batches(part(9), shuffle=True), batches(part(9))
    assert [len(y) for _, y in train.epoch()] == [4, 4]
    assert [len(y) for _, y in evaluation.epoch()] == [4, 4, 1]
    assert (train.images, len(train), evaluation.images, len(evaluation)) == (8, 2, 9, 3)


def test_channels_last_changes_the_layout_and_not_the_numbers():
    images = part()
    plain, permuted = (
        next(batches(images).epoch()),
        next(batches(images, channels_last=True).epoch()),
    )
    assert permuted[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain[0], permuted[0])


def test_files_and_memory_give_the_same_batches(image_folder):
    from qat_cli.console import Console

    dataset = load_data(DataConfig(name=str(image_folder)))
    loaded = dataset.preloaded(["train"], Console())
    from_files, from_memory = (
        batches(data.part("train"), shuffle=True, augment=AUGMENT) for data in (dataset, loaded)
    )
    assert same(from_files.epoch(1), from_memory.epoch(1))


def test_a_shift_moves_the_whole_image_and_fills_with_black():
    image = torch.zeros(64, 1, 5, 5, dtype=torch.uint8)
    image[:, :, 2, 2] = 9
    moved = augmented(image, AugmentConfig(crop_padding=2), torch.Generator().manual_seed(0))
    assert (moved.sum(dim=(1, 2, 3)) == 9).all()  # nothing lost within two pixels, nothing added
    places = {tuple(p) for p in moved.nonzero()[:, 2:].tolist()}
    assert len(places) > 10
    assert max(max(place) for place in places) == 4 and min(min(place) for place in places) == 0


def test_a_shift_is_a_window_of_the_padded_image():
    images = torch.randint(0, 256, (16, 3, 5, 7), dtype=torch.uint8)
    moved = augmented(images, AugmentConfig(crop_padding=2), torch.Generator().manual_seed(3))
    rows, columns = torch.randint(0, 5, (2, 16), generator=torch.Generator().manual_seed(3))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    for image, window, row, column in zip(moved, padded, rows, columns, strict=True):
        assert torch.equal(image, window[:, row : row + 5, column : column + 7])


def test_a_flip_mirrors_about_half_of_the_images():
    row = torch.arange(4, dtype=torch.uint8).expand(200, 1, 4, 4).contiguous()
    flipped = augmented(row, AugmentConfig(horizontal_flip=True), torch.Generator().manual_seed(0))
    mirrored = (flipped[:, 0, 0, 0] == 3).sum().item()
    assert 70 < mirrored < 130  # 200 fair coins: beyond that once in 20,000 seeds
    assert torch.equal(flipped.sum(3), row.sum(3))


@pytest.mark.parametrize("count", [1, 4])
def test_one_batch_is_an_epoch_too(count):
    assert [len(y) for _, y in batches(part(count), shuffle=True).epoch()] == [count]
