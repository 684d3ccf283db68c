"""Batches of several processes: together they are those of one."""

import pytest
import torch

from qat_cli.data import Batches, Part, Share, training_batches
from qat_cli.data.images.stores import MemoryImages
from qat_cli.errors import UserError


def part(count):
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return Part(MemoryImages(pixels.contiguous()), torch.arange(count))


def shares(count, processes, size=4, **fields):
    images = part(count)
    return [
        Batches(images, [0.5], [0.5], size, share=Share(index, processes), **fields)
        for index in range(processes)
    ]


@pytest.mark.parametrize(("count", "processes"), [(24, 2), (31, 3), (27, 2)])
def test_shares_of_every_training_batch_make_up_that_of_one_process(count, processes):
    alone = Batches(part(count), [0.5], [0.5], 4 * processes, shuffle=True, seed=5)
    expected = [labels.tolist() for _, labels in alone.epoch(3)]
    own = [
        [labels.tolist() for _, labels in batches.epoch(3)]
        for batches in shares(count, processes, shuffle=True, seed=5)
    ]
    found = [sum(parts, []) for parts in zip(*own, strict=True)]
    assert found == expected[: len(found)]


def test_a_last_training_batch_that_gives_less_than_two_images_to_each_is_left_out():
    # 27 = 3 * 8 + 3: the last three images would leave the second process with one.
    train = shares(27, 2, shuffle=True)
    assert [(batches.images, len(batches)) for batches in train] == [(24, 3), (24, 3)]
    kept = shares(28, 2, shuffle=True)
    assert [[len(y) for _, y in batches.epoch()] for batches in kept] == [[4, 4, 4, 2]] * 2


@pytest.mark.parametrize(("count", "processes"), [(8, 2), (23, 2), (3, 2), (30, 4)])
def test_in_evaluation_every_image_comes_once_in_a_batch_of_one_process(count, processes):
    alone = [y.tolist() for _, y in Batches(part(count), [0.5], [0.5], 4).epoch()]
    evaluation = shares(count, processes)
    own = [[y.tolist() for _, y in batches.epoch()] for batches in evaluation]
    assert sorted(sum(own, [])) == alone
    assert [len(batches) for batches in evaluation] == [len(batches) for batches in own]
    assert {batches.rounds for batches in evaluation} == {max(map(len, own))}


def test_the_images_of_a_batch_are_counted_without_making_it():
    for batches in shares(29, 2, shuffle=True):  # 8, 8, 8, then 5: three and two
        sizes = [len(labels) for _, labels in batches.epoch()]
        assert [batches.count(number)[0] for number in range(len(batches))] == sizes
        assert batches.count(3)[1] == 5 and batches.count(0)[1] == 8


def test_processes_augment_differently():
    from qat_cli.recipes.schema import AugmentConfig

    same = Part(MemoryImages(torch.randint(0, 256, (1, 1, 6, 6), dtype=torch.uint8)
                             .expand(8, -1, -1, -1).contiguous()), torch.arange(8))  # fmt: skip
    first, second = (
        Batches(
            same, [0.5], [0.5], 4, shuffle=True, augment=AugmentConfig(crop_padding=3),
            share=Share(index, 2),
        )
        for index in range(2)
    )  # fmt: skip
    assert not torch.equal(next(first.epoch())[0], next(second.epoch())[0])


def test_too_few_images_for_so_many_processes_are_refused():
    from qat_cli.data import Dataset
    from qat_cli.recipes import load_recipe

    dataset = Dataset("few", ["a"] * 5, [0.5], [0.5], {"train": part(5)})
    recipe = load_recipe("float_resnet")
    with pytest.raises(UserError, match="5 training images, less than two for each of 3 processes"):
        training_batches(dataset, recipe, torch.device("cpu"), Share(0, 3))
