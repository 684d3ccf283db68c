"""Batches: the same ones whenever they are asked for."""

import pytest
import torch

from qat_cli.data import Batches, Part, load_data, prepared
from qat_cli.data.images.stores import MemoryImages
from qat_cli.errors import UserError
from qat_cli.recipes.schema import AugmentConfig, DataConfig
from qat_cli.terminal.console import Console

AUGMENT = AugmentConfig(crop_padding=2, horizontal_flip=True)


def part(count=10):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 6, 6), dtype=torch.uint8, generator=generator)
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


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "augment",
    [
        AUGMENT,
        AugmentConfig(random_resized_crop=0.2, horizontal_flip=True),
        AugmentConfig(rand_augment=9, random_erasing=0.5, mixup=0.2, cutmix=1.0),
    ],
    ids=["shift and flip", "random resized crop", "all the rest"],
)
def test_files_and_memory_give_the_same_batches(image_folder, augment, threads):
    dataset = load_data(DataConfig(name=str(image_folder)))
    loaded, _ = prepared(dataset, ["train"], DataConfig(), Console())
    from_files, from_memory = (
        batches(data.part("train"), shuffle=True, augment=augment, classes=3, threads=threads)
        for data in (dataset, loaded)
    )
    assert same(from_files.epoch(1), from_memory.epoch(1))


EVERYTHING = AugmentConfig(
    random_resized_crop=0.3,
    horizontal_flip=True,
    rand_augment=9,
    random_erasing=0.5,
    mixup=0.2,
    cutmix=1.0,
)


def test_all_random_changes_depend_on_seed_epoch_and_position_alone():
    train = batches(part(), shuffle=True, augment=EVERYTHING, classes=10)
    whole = list(train.epoch(1))
    torch.manual_seed(99)  # the state of the global generator does not matter
    assert same(whole[1:], train.epoch(1, first_batch=1))
    assert not same(whole, train.epoch(2))
    other = batches(part(), shuffle=True, augment=EVERYTHING, classes=10, seed=1)
    assert not same(whole, other.epoch(1))


def test_the_global_generator_is_left_as_it_was():
    before = torch.get_rng_state()
    list(batches(part(), shuffle=True, augment=EVERYTHING, classes=10).epoch())
    assert torch.equal(torch.get_rng_state(), before)


def test_mixed_batches_have_probabilities_for_labels():
    train = batches(part(), shuffle=True, augment=AugmentConfig(mixup=1.0), classes=10)
    images, labels = next(train.epoch())
    assert images.shape == (4, 3, 6, 6) and labels.shape == (4, 10)
    assert labels.dtype == torch.float32
    assert torch.allclose(labels.sum(1), torch.ones(4))


def test_labels_without_mixing_are_numbers():
    assert next(batches(part(), augment=AUGMENT).epoch())[1].dtype == torch.int64


def test_a_bad_file_met_in_a_thread_is_the_usual_error(image_folder):
    (image_folder / "train" / "ant" / "cut.png").write_bytes(b"no image")
    images = load_data(DataConfig(name=str(image_folder))).part("train")
    with pytest.raises(UserError, match=r"cut\.png: is not an image.*--skip-bad-files"):
        list(batches(images, threads=2).epoch())


@pytest.mark.parametrize("count", [1, 4])
def test_one_batch_is_an_epoch_too(count):
    assert [len(y) for _, y in batches(part(count), shuffle=True).epoch()] == [count]
