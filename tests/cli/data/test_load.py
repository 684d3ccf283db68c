"""Choosing a dataset by name."""

import pytest
import torch

from qat_cli.data import load_data, pinned
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig


def test_digits_have_a_fixed_test_part_whatever_the_split_seed():
    first, second = (load_data(DataConfig(split_seed=seed)) for seed in (0, 1))
    assert {name: len(part) for name, part in first.parts.items()} == {
        "train": 1295,
        "val": 143,
        "test": 359,
    }
    assert torch.equal(first.part("test").images.pixels, second.part("test").images.pixels)
    assert not torch.equal(first.part("val").images.pixels, second.part("val").images.pixels)


def test_digits_are_16_by_16_and_normalised_to_about_zero_and_one():
    dataset = load_data(DataConfig())
    assert dataset.shape == (1, 16, 16)
    pixels = dataset.part("train").images.pixels.float() / 255
    normalised = (pixels - dataset.mean[0]) / dataset.std[0]
    assert abs(normalised.mean()) < 0.05
    assert 0.8 < normalised.std() < 1.05  # scaling up smooths a little


def test_digits_can_be_rgb_of_another_size():
    dataset = load_data(DataConfig(image_size=8, channels=3))
    assert dataset.shape == (3, 8, 8)
    assert len(dataset.mean) == len(dataset.std) == 3


def test_mean_and_std_of_the_recipe_win():
    dataset = load_data(DataConfig(mean=[0.5], std=[0.1]))
    assert (dataset.mean, dataset.std) == ([0.5], [0.1])


def test_one_number_serves_all_channels(image_folder):
    dataset = load_data(DataConfig(name=str(image_folder), mean=[0.5], std=[0.1]))
    assert (dataset.mean, dataset.std) == ([0.5] * 3, [0.1] * 3)


def test_a_wrong_number_of_means_is_refused():
    with pytest.raises(UserError, match="data.mean has 2 numbers but the images have 1 channels"):
        load_data(DataConfig(mean=[0.1, 0.2], std=[1.0, 1.0]))


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="called 'cifar'; did you mean 'cifar10'"):
        load_data(DataConfig(name="cifar"))


def test_pinned_data_loads_the_same_again():
    config = DataConfig(mean=[0.5], std=[0.3])
    dataset = load_data(config)
    again = pinned(config, dataset)
    assert (again.image_size, again.channels, again.mean) == (16, 1, [0.5])
    assert torch.equal(
        load_data(again).part("val").images.pixels, dataset.part("val").images.pixels
    )


def test_data_of_the_same_classes_in_another_order_is_matched_by_name():
    dataset = load_data(DataConfig())
    backwards = dataset.classes[::-1]
    relabelled = dataset.labelled_as(backwards)
    before, after = dataset.part("test").labels, relabelled.part("test").labels
    assert torch.equal(after, 9 - before)


def test_a_class_that_the_model_does_not_know_is_named():
    with pytest.raises(UserError, match="not trained on: 8, 9"):
        load_data(DataConfig()).labelled_as([str(digit) for digit in range(8)])
