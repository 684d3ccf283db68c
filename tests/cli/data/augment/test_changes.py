"""Random changes of batches of images."""

import pytest
import torch

from qat_cli.data.augment.changes import augmented
from qat_cli.recipes.schema import AugmentConfig


def changed(images, seed=0, mean=(0.5,), **config):
    generator = torch.Generator().manual_seed(seed)
    return augmented(images, AugmentConfig(**config), list(mean), generator)


def test_a_shift_moves_the_whole_image_and_fills_with_black():
    image = torch.zeros(64, 1, 5, 5, dtype=torch.uint8)
    image[:, :, 2, 2] = 9
    moved = changed(image, crop_padding=2)
    assert (moved.sum(dim=(1, 2, 3)) == 9).all()  # nothing lost within two pixels, nothing added
    places = {tuple(p) for p in moved.nonzero()[:, 2:].tolist()}
    assert len(places) > 10
    assert max(max(place) for place in places) == 4 and min(min(place) for place in places) == 0


def test_a_shift_is_a_window_of_the_padded_image():
    images = torch.randint(0, 256, (16, 3, 5, 7), dtype=torch.uint8)
    moved = changed(images, seed=3, crop_padding=2)
    rows, columns = torch.randint(0, 5, (2, 16), generator=torch.Generator().manual_seed(3))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    for image, window, row, column in zip(moved, padded, rows, columns, strict=True):
        assert torch.equal(image, window[:, row : row + 5, column : column + 7])


def test_a_flip_mirrors_about_half_of_the_images():
    row = torch.arange(4, dtype=torch.uint8).expand(200, 1, 4, 4).contiguous()
    flipped = changed(row, horizontal_flip=True)
    mirrored = (flipped[:, 0, 0, 0] == 3).sum().item()
    assert 70 < mirrored < 130  # 200 fair coins: beyond that once in 20,000 seeds
    assert torch.equal(flipped.sum(3), row.sum(3))


def test_erasing_paints_one_rectangle_of_the_mean_colour_into_some_images():
    images = torch.zeros(300, 2, 20, 30, dtype=torch.uint8)
    erased = changed(images, mean=(0.2, 0.8), random_erasing=0.5)
    touched = erased[(erased != 0).any(dim=(1, 2, 3))]
    assert 110 < len(touched) < 190  # 300 fair coins
    for image in touched:
        assert set(image[0].unique().tolist()) <= {0, 51}  # 0.2 * 255
        assert set(image[1].unique().tolist()) <= {0, 204}
        rows, columns = (image[0] == 51).nonzero().unbind(1)
        high, wide = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
        assert len(rows) == high * wide  # a full rectangle
        assert len(rows) <= 0.36 * 20 * 30  # 33 % and the rounding of two sides
    assert len({int((image[0] == 51).sum()) for image in touched}) > 20


@pytest.mark.parametrize(
    "config",
    [{"crop_padding": 2}, {"horizontal_flip": True}, {"rand_augment": 9}, {"random_erasing": 0.5}],
    ids=lambda config: next(iter(config)),
)
def test_the_same_seed_gives_the_same_images_and_another_one_others(config):
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (16, 3, 12, 12), dtype=torch.uint8, generator=generator)
    mean = (0.5, 0.5, 0.5)
    first, again, other = (changed(images, seed, mean, **config) for seed in (1, 1, 2))
    assert first.dtype == torch.uint8 and first.shape == images.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, images)
