"""The epoch of ``qat train`` and the bare loop see the same."""

import pytest
import torch

from benchmarks import synthetic
from benchmarks.epoch import bare_loop, train_command, training_environment, training_images
from benchmarks.script import Options


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "IMAGES", {"train": 40, "val": 10, "test": 10})
    monkeypatch.setattr(synthetic, "SIZE", 8)
    synthetic.write_image_folder(tmp_path / "images")
    return tmp_path / "images"


def test_training_images_are_those_of_the_folder(folder):
    images, labels = training_images(folder)

    assert images.shape == (40, 3, 8, 8)
    assert labels.bincount().tolist() == [4] * 10


def test_the_bare_loop_times_every_epoch(folder):
    seconds = bare_loop(*training_images(folder), epochs=2, device=torch.device("cpu"))

    assert len(seconds) == 2
    assert min(seconds) > 0


def test_a_failure_of_the_command_carries_its_message(tmp_path):
    with pytest.raises(RuntimeError, match="exit code 2: .*missing"):
        train_command(tmp_path / "missing", tmp_path / "run", Options(backend="python"))


@pytest.mark.parametrize(("backend", "flag"), [("native", "1"), ("python", "0")])
def test_the_command_gets_one_thread_and_the_backend(backend, flag):
    environment = training_environment(Options(backend=backend))

    assert environment["QAT_NATIVE_STE_BACKEND"] == flag
    assert environment["OMP_NUM_THREADS"] == "1"
