"""Image files to tensors."""

import numpy as np
import pytest
import torch
from PIL import Image

from qat_cli.data.decode import ImageFormat, decode_files, image_size
from qat_cli.errors import UserError

RGB8 = ImageFormat(channels=3, height=8, width=8, resize=False)


def save(path, pixels):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)
    return path


def test_pixels_come_back_channel_first(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3))
    decoded = decode_files([save(tmp_path / "a.png", pixels)], RGB8)
    assert decoded.dtype == torch.uint8
    assert np.array_equal(decoded[0].permute(1, 2, 0).numpy(), pixels)


def test_order_is_kept_with_several_threads(tmp_path):
    paths = [save(tmp_path / f"{i}.png", np.full((8, 8, 3), i)) for i in range(50)]
    decoded = decode_files(paths, RGB8, workers=4)
    assert decoded[:, 0, 0, 0].tolist() == list(range(50))


def test_grey_files_become_rgb_and_rgb_files_grey(tmp_path):
    grey = save(tmp_path / "grey.png", np.full((8, 8), 77))
    red = save(tmp_path / "red.png", np.broadcast_to([100, 0, 0], (8, 8, 3)))
    assert (decode_files([grey], RGB8) == 77).all()
    one = ImageFormat(1, 8, 8, resize=False)
    assert (decode_files([red], one) == 30).all()  # 0.299 * 100, luma of ITU-R BT.601


def test_resizing_scales_the_shorter_side_and_cuts_the_centre(tmp_path):
    pixels = np.zeros((8, 24))
    pixels[:, 8:16] = 200  # the middle third is what remains
    path = save(tmp_path / "wide.png", pixels)
    decoded = decode_files([path], ImageFormat(1, 4, 4, resize=True))
    assert decoded.shape == (1, 1, 4, 4)
    assert (decoded[..., 1:3] == 200).all()


def test_another_size_names_the_file_and_the_remedy(tmp_path):
    odd = save(tmp_path / "odd.png", np.zeros((9, 7, 3)))
    with pytest.raises(UserError, match=r"odd\.png: is 7x9 pixels, not 8x8.*data\.image_size=8"):
        decode_files([odd], RGB8)


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_all_bad_files_are_counted_and_the_first_named(tmp_path, kind):
    good = save(tmp_path / f"good.{kind}", np.random.default_rng(0).integers(0, 256, (8, 8, 3)))
    truncated = tmp_path / f"cut.{kind}"
    truncated.write_bytes(good.read_bytes()[: good.stat().st_size * 2 // 3])
    text = tmp_path / "text.jpg"
    text.write_text("not an image")
    with pytest.raises(UserError, match=r"(?s)2 of 3 images.*cut\.(png|jpg).*text\.jpg"):
        decode_files([good, truncated, text], RGB8)


def test_the_size_is_read_without_decoding(tmp_path):
    assert image_size(save(tmp_path / "a.png", np.zeros((5, 7, 3)))) == (5, 7)
