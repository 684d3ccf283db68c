"""Random resized crops."""

import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from qat_cli.data.augment.crops import Box, RandomCrops, cropped


def boxes(count, height, width, smallest=0.08):
    crops = RandomCrops.drawn(count, smallest, torch.Generator().manual_seed(0))
    return [crops.box(row, height, width) for row in range(count)]


def test_boxes_lie_inside_and_keep_area_and_ratio():
    for box in boxes(500, 300, 400, smallest=0.25):
        assert 0 <= box.top <= 300 - box.height and 0 <= box.left <= 400 - box.width
        assert 0.24 < box.height * box.width / (300 * 400) <= 1
        assert 0.74 < box.width / box.height < 1.35


def test_boxes_are_distributed_as_those_of_torchvision():
    torch.manual_seed(0)
    image = torch.empty(3, 300, 400)
    theirs = [RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(2000)]
    ours = [(box.top, box.left, box.height, box.width) for box in boxes(2000, 300, 400)]
    a, b = torch.tensor(ours).float(), torch.tensor(theirs).float()
    # Means of 2,000: their standard error is about 1.5 pixels.
    assert torch.allclose(a.mean(0), b.mean(0), atol=6)
    assert torch.allclose(a.std(0), b.std(0), atol=6)


@pytest.mark.parametrize(("position", "corner"), [(0.0, 0), (0.999, 4)], ids=["first", "last"])
def test_a_box_can_lie_at_either_edge(position, corner):
    numbers = torch.zeros(1, 11, 2, dtype=torch.float64)
    numbers[..., 1] = 0.5  # ratio 1:1, and a quarter of the area: 4 x 4 of 8 x 8
    numbers[:, -1] = position
    assert RandomCrops(0.25, numbers).box(0, 8, 8) == Box(corner, corner, 4, 4)


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(10, 1000, Box(0, 493, 10, 13)), (1000, 10, Box(493, 0, 13, 10))],
    ids=["wide", "high"],
)
def test_an_image_too_long_for_any_attempt_gives_up_its_centre(height, width, box):
    assert boxes(1, height, width, smallest=0.9) == [box]


def test_a_crop_of_everything_is_the_image():
    images = torch.randint(0, 256, (8, 3, 9, 9), dtype=torch.uint8)
    crops = RandomCrops(1.0, torch.zeros(8, 11, 2, dtype=torch.float64).fill_(0.5))  # ratio 1:1
    assert torch.equal(cropped(images, crops), images)


def test_a_crop_is_scaled_to_the_full_size():
    images = torch.zeros(50, 1, 16, 16, dtype=torch.uint8)
    images[:, :, :, 8:] = 200
    crops = RandomCrops.drawn(50, 0.1, torch.Generator().manual_seed(0))
    result = cropped(images, crops)
    assert result.shape == images.shape
    for row, image in enumerate(result):
        box = crops.box(row, 16, 16)
        share = (box.left + box.width - max(8, box.left)) / box.width
        assert abs(image.float().mean() / 200 - max(share, 0)) < 0.1
