"""Resumption inside an epoch with another number of processes."""

import pytest
import torch

from qat_cli.data import Batches, Part, Share
from qat_cli.data.images.stores import MemoryImages
from qat_cli.engine.run.kept import position


def batches(size, processes=1):
    part = Part(MemoryImages(torch.zeros(100, 1, 1, 1, dtype=torch.uint8)), torch.zeros(100).long())
    return Batches(part, [0.5], [0.5], size, shuffle=True, share=Share(0, processes))


def began(batch, step_images):
    return {"state": {"batch": batch}, "step_images": step_images}


@pytest.mark.parametrize(
    ("batch", "step_images", "now", "accumulate", "expected"),
    [
        (3, 8, batches(4, 2), 1, 3),  # as many at once as before
        (3, 8, batches(4), 1, 6),  # 24 images: six batches of four
        (3, 8, batches(8, 2), 1, 1),  # 24 images: one and a half of sixteen, begun anew
        (3, 8, batches(2, 2), 4, 4),  # 24 images: six batches of four, whole steps have four each
        (13, 8, batches(16), 1, 7),  # all of the epoch: what is missing is its validation
        (0, 8, batches(16), 1, 0),
    ],
)
def test_no_image_is_left_out_and_a_step_begins(batch, step_images, now, accumulate, expected):
    assert position(began(batch, step_images), now, accumulate) == expected


def test_a_checkpoint_of_before_goes_on_where_it_was():
    assert position({"state": {"batch": 5}}, batches(8), 1) == 5
