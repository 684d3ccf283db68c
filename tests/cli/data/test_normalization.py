"""Mean and standard deviation of the training images."""

import numpy as np
import pytest
import torch
from PIL import Image

from qat_cli.data import load_data, prepared
from qat_cli.errors import UserError
from qat_cli.recipes.schema import DataConfig
from qat_cli.terminal.console import Console


def measured(limit=None, **fields):
    config = DataConfig(normalize="measured", memory_limit=limit, **fields)
    return prepared(load_data(config), ["train"], config, Console())


@pytest.mark.parametrize("limit", [None, 0], ids=["memory", "files"])
def test_it_is_that_of_all_pixels_of_the_training_part(image_folder, limit):
    dataset, config = measured(limit, name=str(image_folder))
    part = dataset.part("train")
    pixels = part.images.gather(torch.arange(len(part))).double() / 255
    assert config.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist(), abs=1e-6)
    assert config.std == pytest.approx(pixels.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-6)
    assert (dataset.mean, dataset.std) == (config.mean, config.std)


def test_it_is_shown_and_written_out_so_that_it_is_measured_once(capsys):
    dataset, config = measured(image_size=8)
    assert f"measured on 1295 training images: mean {config.mean[0]:.4f}" in capsys.readouterr().err
    assert config.normalize == "given"
    again, config_again = prepared(load_data(config), ["train"], config, Console())
    assert config_again == config
    assert (again.mean, again.std) == (dataset.mean, dataset.std)
    assert "measured" not in capsys.readouterr().err


def test_bad_files_do_not_count(image_folder):
    (image_folder / "train" / "ant" / "zzz.png").write_text("no image")
    with pytest.raises(UserError, match=r"zzz\.png"):
        measured(0, name=str(image_folder), split_seed=0, val_fraction=0.01)
    mean = measured(0, name=str(image_folder), val_fraction=0.01, skip_bad_files=True)[1].mean
    assert min(mean) > 0.3  # black pixels in their place would lower it


def test_a_constant_channel_cannot_be_normalised(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(6):
            Image.fromarray(np.full((4, 4, 3), 7, dtype=np.uint8)).save(
                tmp_path / name / f"{i}.png"
            )
    with pytest.raises(UserError, match="same value in channel 0"):
        measured(name=str(tmp_path))
