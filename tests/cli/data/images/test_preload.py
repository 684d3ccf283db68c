"""Images decoded into memory or left in files; bad files."""

import numpy as np
import pytest
import torch
from PIL import Image

from qat_cli.data import load_data, prepared, without_bad_files
from qat_cli.data.images.preload import memory_limit
from qat_cli.errors import UserError
from qat_cli.recipes.schema import AugmentConfig, DataConfig
from qat_cli.terminal.console import Console


def ready(folder, parts=("train", "val", "test"), **fields):
    config = DataConfig(name=str(folder), **fields)
    return prepared(load_data(config), parts, config, Console())[0]


def spoil(folder, *names):
    for name in names:
        (folder / name).write_bytes((folder / name).read_bytes()[:60])


def test_parts_are_decoded_into_memory(image_folder):
    dataset = ready(image_folder, ["test"])
    assert dataset.part("test").images.in_memory
    assert not dataset.part("train").images.in_memory


def test_order_is_kept_with_several_threads(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "test" / name).mkdir(parents=True)
        for i in range(40):
            level = np.full((8, 8, 3), 100 * (name == "b") + i, dtype=np.uint8)
            Image.fromarray(level).save(tmp_path / "test" / name / f"{i:02d}.png")
    pixels = ready(tmp_path, ["test"], workers=4).part("test").images.pixels
    assert pixels[:, 0, 0, 0].tolist() == [*range(40), *range(100, 140)]


def test_memory_limit_zero_leaves_images_in_their_files(image_folder, capsys):
    dataset = ready(image_folder, ["test"], memory_limit=0)
    assert not dataset.part("test").images.in_memory
    assert "batch by batch instead (data.memory_limit)" in capsys.readouterr().err


def test_the_memory_limit_is_in_gib():
    assert memory_limit(DataConfig(memory_limit=0.5)) == 2**29
    assert 0 < memory_limit(DataConfig()) <= 8 * 2**30


def test_files_to_be_cropped_at_random_stay_files_for_training_only(image_folder, capsys):
    augment = AugmentConfig(random_resized_crop=0.3)
    dataset = ready(image_folder, image_size=4, augment=augment)
    in_memory = {name: part.images.in_memory for name, part in dataset.parts.items()}
    assert in_memory == {"train": False, "val": True, "test": True}
    assert "cropped at random out of their files" in capsys.readouterr().err


def test_images_that_are_not_resized_are_cropped_in_memory(image_folder):
    augment = AugmentConfig(random_resized_crop=0.3)
    assert ready(image_folder, augment=augment).part("train").images.in_memory


@pytest.mark.parametrize("limit", [None, 0], ids=["memory", "files"])
def test_bad_files_are_left_out_named_and_counted(image_folder, capsys, limit):
    whole = ready(image_folder, ["test"])
    spoil(image_folder / "test", "ant/001.png", "cat/003.png")
    part = ready(image_folder, ["test"], skip_bad_files=True, memory_limit=limit).part("test")
    message = capsys.readouterr().err
    assert "warning: 2 of 12 test images left out:" in message
    assert "ant/001.png: is not an image, or is damaged" in message and "cat/003.png" in message
    kept = torch.tensor([0, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert torch.equal(part.labels, whole.part("test").labels[kept])
    everything = torch.arange(len(part))
    assert torch.equal(part.images.gather(everything), whole.part("test").images.gather(kept))


def test_without_skipping_all_bad_files_are_counted(image_folder):
    spoil(image_folder / "test", "ant/001.png", "cat/003.png")
    with pytest.raises(UserError, match=r"(?s)2 of 12 images; --skip-bad-files.*ant/001.*cat/003"):
        ready(image_folder, ["test"])


@pytest.mark.parametrize("limit", [None, 0], ids=["memory", "files"])
def test_a_class_without_a_good_file_is_an_error(image_folder, limit):
    spoil(image_folder / "test" / "bee", *[f"00{i}.png" for i in range(4)])
    with pytest.raises(UserError, match="no test image of class 'bee' can be used"):
        ready(image_folder, ["test"], skip_bad_files=True, memory_limit=limit)


def test_bad_files_only_are_an_error(image_folder):
    for name in ("ant", "bee", "cat"):
        spoil(image_folder / "test" / name, *[f"00{i}.png" for i in range(4)])
    with pytest.raises(UserError, match="(?s)none of the 12 test images can be used.*and 7 more"):
        ready(image_folder, ["test"], skip_bad_files=True)


def test_a_sample_is_freed_of_bad_files_too(image_folder):
    spoil(image_folder / "train" / "ant", "001.png", "005.png")
    config = DataConfig(name=str(image_folder), skip_bad_files=True)
    part = load_data(config).part("train")
    assert len(without_bad_files(part, "calibration", config, Console())) == len(part) - 2
