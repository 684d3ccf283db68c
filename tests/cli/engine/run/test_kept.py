"""Checkpoints that are kept, and resumption with another number of processes."""

from types import SimpleNamespace

import pytest
import torch

from qat_cli.data import Batches, Part, Share
from qat_cli.data.images.stores import MemoryImages
from qat_cli.engine.run.kept import Kept, position
from qat_cli.engine.run.state import TrainingState
from qat_cli.report import RunFolder


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


class Touches(Kept):
    """Writes empty files."""

    def _write(self, path, state, training=None):
        path.parent.mkdir(exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("top_k", "first", "left"),
    [(0, 0, ["epoch-009"]), (1, 0, ["epoch-002"]), (2, 0, ["epoch-002", "epoch-003"])]
    + [(2, 2, ["epoch-003", "epoch-004"])],
)
def test_the_best_epochs_that_are_quantized_as_declared_are_kept(tmp_path, top_k, first, left):
    recipe = SimpleNamespace(
        checkpoint=SimpleNamespace(top_k=top_k), schedule=SimpleNamespace(final_epoch=first)
    )
    folder = RunFolder(tmp_path)
    kept = Touches(folder, SimpleNamespace(recipe=recipe), None, None, None)
    kept._write(folder.epoch(9), None)  # of another run: dropped as soon as epochs are kept
    state = TrainingState()
    for number, top1 in enumerate([10.0, 30.0, 20.0, 20.0], start=1):
        state.epoch = number
        state.history.append({"epoch": number, "val_top1": top1, "val_loss": 1.0})
        kept.save_epoch(state, is_best=number == 2)
    files = sorted(path.stem for path in (tmp_path / "checkpoints").iterdir())
    assert files == ["best", *left]  # of two alike the earlier
