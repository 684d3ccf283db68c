"""Choosing a dataset by name."""

import gzip

import numpy as np
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


def write_idx(path, array):
    """The file format of MNIST: magic number, sizes, bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
    path.with_suffix(path.suffix + ".gz").write_bytes(gzip.compress(path.read_bytes()))


@pytest.fixture
def mnist_files(tmp_path):
    """MNIST's files with a few images of noise."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, count in (("train", 40), ("t10k", 20)):
        write_idx(raw / f"{name}-images-idx3-ubyte", generator.integers(0, 256, (count, 28, 28)))
        write_idx(raw / f"{name}-labels-idx1-ubyte", np.arange(count) % 10)
    return tmp_path


def test_mnist_is_read_from_its_files(mnist_files):
    dataset = load_data(DataConfig(name="mnist", root=str(mnist_files), val_fraction=0.25))
    assert dataset.shape == (1, 28, 28)
    assert {name: len(part) for name, part in dataset.parts.items()} == {
        "train": 30,
        "val": 10,
        "test": 20,
    }


def test_mnist_can_be_rgb_of_another_size(mnist_files):
    config = DataConfig(name="mnist", root=str(mnist_files), channels=3, image_size=14)
    dataset = load_data(config)
    assert dataset.shape == (3, 14, 14)
    assert dataset.mean == [0.1307] * 3


def test_without_a_network_the_message_says_what_to_do(tmp_path, monkeypatch):
    from torchvision import datasets

    def no_network(*args, **kwargs):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(datasets, "MNIST", no_network)
    with pytest.raises(UserError, match=r"(?s)could not be downloaded.*QAT_DATA_DIR.*digits"):
        load_data(DataConfig(name="mnist", root=str(tmp_path)))
