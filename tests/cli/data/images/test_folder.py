"""The image-folder layout."""

import errno
import shutil
from pathlib import Path

import pytest
import torch

from qat_cli.data import load_data
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig


def load(folder, **fields):
    return load_data(DataConfig(name=str(folder), **fields))


def sizes(dataset):
    return {name: len(part) for name, part in dataset.parts.items()}


def test_train_beside_test_gives_up_a_validation_part(image_folder):
    dataset = load(image_folder, val_fraction=0.25)
    assert sizes(dataset) == {"train": 27, "val": 9, "test": 12}
    assert dataset.classes == ["ant", "bee", "cat"]


def test_rgb_folders_have_the_normalisation_of_imagenet_and_their_own_size(image_folder):
    dataset = load(image_folder)
    assert dataset.shape == (3, 8, 8)
    assert dataset.mean == [0.485, 0.456, 0.406]
    assert dataset.std == [0.229, 0.224, 0.225]


def test_val_is_evaluated_where_there_is_no_test(image_folder):
    (image_folder / "test").rename(image_folder / "val")
    assert sizes(load(image_folder, val_fraction=0.25)) == {"train": 27, "val": 9, "test": 12}


def test_val_chooses_the_checkpoint_where_all_three_exist(image_folder, write_images):
    write_images(image_folder / "val", 2)
    assert sizes(load(image_folder)) == {"train": 36, "val": 6, "test": 12}


def test_one_folder_of_classes_is_split_in_three(tmp_path, write_images):
    dataset = load(write_images(tmp_path / "all", 20), val_fraction=0.25)
    assert sizes(dataset) == {"train": 36, "val": 12, "test": 12}


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read data folder .*/none: No such file"):
        load(tmp_path / "none")


def test_a_folder_that_cannot_be_listed_is_named(image_folder, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refused)  # file modes do not stop an administrator
    with pytest.raises(UserError, match=r"cannot read data folder .*/train: Permission denied\."):
        load(image_folder)


@pytest.mark.parametrize("name", ["test", "val"])
def test_a_lone_evaluation_part_is_enough_to_evaluate(tmp_path, write_images, name):
    write_images(tmp_path / "d" / name, 2)
    assert sizes(load(tmp_path / "d")) == {"test": 6}


@pytest.mark.parametrize("images", [1, 2])
def test_a_folder_with_too_few_images_to_split_is_refused(tmp_path, write_images, images):
    dataset = load(write_images(tmp_path / "few", images))
    with pytest.raises(UserError, match="too few images to split off a val part; give at least 3"):
        dataset.part("val")


def test_a_missing_part_is_named(tmp_path, write_images):
    write_images(tmp_path / "d" / "test", 2)
    with pytest.raises(UserError, match="has no train part, only test"):
        load(tmp_path / "d").part("train")


def test_labels_follow_the_sorted_class_names(image_folder):
    part = load(image_folder).part("test")
    # The later the class, the brighter: see write_images.
    brightness = [
        part.images.gather((part.labels == label).nonzero().flatten()).float().mean().item()
        for label in range(3)
    ]
    assert brightness == sorted(brightness)


def test_hidden_files_are_passed_over(image_folder):
    (image_folder / ".DS_Store").write_text("x")
    (image_folder / "train" / "ant" / ".hidden").write_text("x")
    assert len(load(image_folder).part("train")) + len(load(image_folder).part("val")) == 36


def test_image_size_resizes(image_folder):
    dataset = load(image_folder, image_size=4, channels=1)
    images = dataset.part("test").images.gather(torch.arange(2))
    assert images.shape == (2, 1, 4, 4)


def test_parts_need_the_same_classes(image_folder):
    shutil.rmtree(image_folder / "test" / "bee")
    with pytest.raises(UserError, match=r"train/ has class 'bee', test/ has not"):
        load(image_folder)


def test_a_centre_crop_of_images_that_are_not_resized_is_refused(image_folder):
    with pytest.raises(UserError, match="set data.image_size too"):
        load(image_folder, center_crop=0.875)


def test_a_bad_first_file_does_not_hide_the_size_where_bad_files_are_skipped(image_folder):
    (image_folder / "train" / "ant" / "000.png").write_text("no image")
    assert load(image_folder, skip_bad_files=True).shape == (3, 8, 8)
    with pytest.raises(UserError, match=r"000\.png: is not an image"):
        load(image_folder)
