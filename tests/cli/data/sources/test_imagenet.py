"""ImageNet's folders."""

import pytest

from qat_cli.data import load_data, pinned
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig


@pytest.fixture
def root(tmp_path, write_images):
    write_images(tmp_path / "imagenet" / "train", 6, classes=("n01440764", "n01443537"), size=40)
    write_images(tmp_path / "imagenet" / "val", 2, classes=("n01440764", "n01443537"), size=40)
    return tmp_path


def test_it_is_found_below_the_data_folder(root, monkeypatch):
    monkeypatch.setenv("QAT_DATA_DIR", str(root))
    dataset = load_data(DataConfig(name="imagenet", val_fraction=0.2))
    assert {name: len(part) for name, part in dataset.parts.items()} == {
        "train": 10,
        "val": 2,
        "test": 4,
    }
    assert dataset.shape == (3, 224, 224)


def test_what_is_left_open_is_what_published_figures_use(root):
    config = DataConfig(name="imagenet", root=str(root))
    resolved = pinned(config, load_data(config))
    assert (resolved.name, resolved.image_size, resolved.center_crop) == ("imagenet", 224, 0.875)
    assert resolved.augment.random_resized_crop == 0.08
    assert (resolved.augment.crop_padding, resolved.augment.horizontal_flip) == (0, True)
    assert resolved.mean == [0.485, 0.456, 0.406]


def test_what_is_given_wins(root):
    augment = {"crop_padding": 4}
    config = DataConfig(name="imagenet", root=str(root), image_size=32, augment=augment)
    resolved = pinned(config, load_data(config))
    assert resolved.image_size == 32
    assert (resolved.augment.crop_padding, resolved.augment.random_resized_crop) == (4, 0)


def test_where_it_is_not_the_message_says_how_to_lay_it_out(tmp_path):
    with pytest.raises(UserError, match=r"(?s)train/<class>/<image>.*val/<class>.*QAT_DATA_DIR"):
        load_data(DataConfig(name="imagenet", root=str(tmp_path)))
