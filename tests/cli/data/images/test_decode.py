"""Image files to tensors."""

import numpy as np
import pytest
import torch
from PIL import Image

from qat_cli.data.augment.crops import RandomCrops
from qat_cli.data.images.decode import (
    ImageFormat,
    check_files,
    decode_files,
    image_size,
    refuse_bad_files,
)
from qat_cli.errors import UserError

RGB8 = ImageFormat(channels=3, height=8, width=8, resize=False)


def save(path, pixels):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)
    return path


def good(paths, form):
    pixels, bad = decode_files(paths, form)
    assert bad == {}
    return pixels


def test_pixels_come_back_channel_first(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3))
    decoded = good([save(tmp_path / "a.png", pixels)], RGB8)
    assert decoded.dtype == torch.uint8
    assert np.array_equal(decoded[0].permute(1, 2, 0).numpy(), pixels)


def test_grey_files_become_rgb_and_rgb_files_grey(tmp_path):
    grey = save(tmp_path / "grey.png", np.full((8, 8), 77))
    red = save(tmp_path / "red.png", np.broadcast_to([100, 0, 0], (8, 8, 3)))
    assert (good([grey], RGB8) == 77).all()
    one = ImageFormat(1, 8, 8, resize=False)
    assert (good([red], one) == 30).all()  # 0.299 * 100, luma of ITU-R BT.601


def test_resizing_scales_the_shorter_side_and_cuts_the_centre(tmp_path):
    pixels = np.zeros((8, 24))
    pixels[:, 8:16] = 200  # the middle third is what remains
    path = save(tmp_path / "wide.png", pixels)
    decoded = good([path], ImageFormat(1, 4, 4, resize=True))
    assert decoded.shape == (1, 1, 4, 4)
    assert (decoded[..., 1:3] == 200).all()


def test_a_centre_crop_keeps_that_part_of_the_shorter_side(tmp_path):
    pixels = np.zeros((32, 48))
    pixels[4:28, 12:36] = 200  # the centre, 24 of 32 rows
    path = save(tmp_path / "frame.png", pixels)
    decoded = good([path], ImageFormat(1, 24, 24, resize=True, center_crop=0.75))
    assert (decoded == 200).all()  # 24 / 0.75 = 32: nothing is scaled


def test_random_crops_are_cut_out_of_the_whole_file(tmp_path):
    # Each column has its own value, so a crop shows where it came from.
    path = save(tmp_path / "ramp.png", np.broadcast_to(np.arange(200), (50, 200)))
    crops = RandomCrops.drawn(20, 0.2, torch.Generator().manual_seed(0))
    decoded = decode_files([path] * 20, ImageFormat(1, 8, 8, resize=True), crops)[0]
    for row, image in enumerate(decoded):
        box = crops.box(row, 50, 200)
        assert abs(int(image[0, 0, 0]) - box.left) <= box.width / 8
        assert abs(int(image[0, 0, -1]) - (box.left + box.width)) <= box.width / 8
        assert (image[0] == image[0, 0]).all()


def test_another_size_names_the_file_and_the_remedy(tmp_path):
    odd = save(tmp_path / "odd.png", np.zeros((9, 7, 3)))
    bad = decode_files([odd], RGB8)[1]
    with pytest.raises(UserError, match=r"odd\.png: is 7x9 pixels, not 8x8.*data\.image_size=8"):
        refuse_bad_files(bad, 1)
    assert check_files([odd], RGB8) == bad


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_all_bad_files_are_counted_and_the_first_named(tmp_path, kind):
    good = save(tmp_path / f"good.{kind}", np.random.default_rng(0).integers(0, 256, (8, 8, 3)))
    truncated = tmp_path / f"cut.{kind}"
    truncated.write_bytes(good.read_bytes()[: good.stat().st_size * 2 // 3])
    text = tmp_path / "text.jpg"
    text.write_text("not an image")
    paths = [good, truncated, text]
    pixels, bad = decode_files(paths, RGB8)
    with pytest.raises(UserError, match=r"(?s)2 of 3 images.*cut\.(png|jpg).*text\.jpg"):
        refuse_bad_files(bad, 3)
    assert set(bad) == {1, 2} and pixels[0].any()
    assert check_files(paths, RGB8) == bad  # looking a file through finds the same


def test_the_size_is_read_without_decoding(tmp_path):
    assert image_size(save(tmp_path / "a.png", np.zeros((5, 7, 3)))) == (5, 7)
