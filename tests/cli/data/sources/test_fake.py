"""Images that the program makes up."""

import pytest
import torch

from qat_cli.data import load_data, prepared
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig
from qat_cli.terminal.console import Console


def fake(limit=None, image_size=8, channels=None, **fields):
    config = DataConfig(
        name="fake", image_size=image_size, channels=channels, fake=fields, memory_limit=limit
    )
    return prepared(load_data(config), ["train", "test"], config, Console())[0]


def pixels(part):
    return part.images.gather(torch.arange(len(part)))


def test_number_classes_and_size_are_as_asked_for():
    dataset = fake(images=60, classes=4, image_size=9, channels=1)
    assert dataset.shape == (1, 9, 9)
    assert dataset.classes == ["0", "1", "2", "3"]
    assert sum(len(part) for part in dataset.parts.values()) == 60
    assert dataset.part("test").labels.bincount().tolist() == [3, 3, 3, 3]


def test_the_same_seed_makes_the_same_images_in_memory_and_batch_by_batch():
    in_memory, streamed = fake(images=60), fake(0, images=60)
    assert in_memory.part("train").images.in_memory
    assert not streamed.part("train").images.in_memory
    assert torch.equal(pixels(in_memory.part("train")), pixels(streamed.part("train")))
    other = fake(images=60, seed=1)
    assert not torch.equal(pixels(in_memory.part("train")), pixels(other.part("train")))


def hits_of_nearest_mean(dataset):
    """Share of test images whose nearest class mean of the training images is the right one."""
    train, test = dataset.part("train"), dataset.part("test")
    x, y = pixels(train).float().flatten(1), pixels(test).float().flatten(1)
    means = torch.stack([x[train.labels == k].mean(0) for k in range(len(dataset.classes))])
    return (torch.cdist(y, means).argmin(1) == test.labels).float().mean().item()


def test_learnable_images_can_be_told_apart_and_the_others_not():
    assert hits_of_nearest_mean(fake(images=600, classes=6)) > 0.95
    assert hits_of_nearest_mean(fake(images=600, classes=6, learnable=False)) < 0.35  # chance 0.17


@pytest.mark.parametrize("learnable", [True, False])
def test_mean_and_std_are_about_right(learnable):
    images = pixels(fake(images=200, learnable=learnable).part("train")).float() / 255
    assert abs(images.mean() - 0.5) < 0.05
    assert abs(images.std() - 0.25) < 0.08


def test_in_rgb_there_are_three_channels():
    dataset = fake(0, images=60, channels=1).in_rgb()
    assert dataset.shape == (3, 8, 8) and pixels(dataset.part("test")).shape[1] == 3


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match="less than 3 for each"):
        fake(images=20, classes=10)
