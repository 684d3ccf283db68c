"""Memory that runs out: recognised, and explained with a batch size that would fit."""

import pytest
import torch
from torch import nn

from qat_cli.data import Batches, Part
from qat_cli.data.images.stores import MemoryImages
from qat_cli.engine.memory import advice as out_of_memory
from qat_cli.engine.memory.advice import (
    batches_per_step,
    evaluation_explained,
    gib,
    halvings,
    is_out_of_memory,
    training_explained,
)
from qat_cli.engine.memory.estimate import MemoryEstimate, Readings
from qat_cli.errors import WorkFailed

NO_MEMORY = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes."


def batches(size=64):
    pixels = torch.zeros(size, 1, 4, 4, dtype=torch.uint8)
    part = Part(MemoryImages(pixels), torch.zeros(size, dtype=torch.int64))
    return Batches(part, [0.5], [0.5], batch_size=size)


def per_image(size):
    """An estimate of so many bytes for every image."""
    return MemoryEstimate(0, 0, 0, Readings(1, size, [size]), Readings(2, 2 * size, [2 * size]))


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (MemoryError(), True),
        (RuntimeError(NO_MEMORY), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_errors_of_allocators_are_told_from_others(error, is_one):
    assert is_out_of_memory(error) is is_one


def test_sizes_are_halved_and_the_images_of_a_step_kept():
    assert halvings(50) == [50, 25, 12, 6, 3, 1] and halvings(1) == [1]
    assert [batches_per_step(64, n, 2) for n in (64, 32, 16)] == [2, 4, 8]
    assert batches_per_step(50, 12, 1) * 12 >= 50


def test_the_largest_half_that_the_estimate_lets_in_is_suggested(monkeypatch):
    monkeypatch.setattr(out_of_memory, "available", lambda device: 2000)
    with pytest.raises(WorkFailed) as failed:
        with training_explained(batches(64), 2, lambda: per_image(100)):
            raise RuntimeError(NO_MEMORY)
    text = str(failed.value)
    assert "out of memory in training with batches of 64 images (train.batch_size)" in text
    assert "DefaultCPUAllocator: can't allocate memory" in text
    assert "16 would fit: train.batch_size=16 with train.accumulate=8" in text  # 1800 bytes of 2000
    assert "keeps 128 images per step; --auto-batch" in text


def test_where_no_image_fits_another_model_is_suggested(monkeypatch):
    monkeypatch.setattr(out_of_memory, "available", lambda device: 50)
    with pytest.raises(WorkFailed, match="not even one image fits: use a smaller model"):
        with training_explained(batches(64), 1, lambda: per_image(100)):
            raise MemoryError


def test_memory_that_runs_out_in_the_estimate_too_is_no_second_error():
    def estimate():
        raise MemoryError

    with pytest.raises(WorkFailed, match=r"too little is left.*train.batch_size=32"):
        with training_explained(batches(64), 1, estimate):
            raise MemoryError


def test_another_error_passes_as_it_is():
    with pytest.raises(RuntimeError, match="shapes"):
        with training_explained(batches(), 1, lambda: per_image(1)):
            raise RuntimeError("shapes do not fit")


def test_an_evaluation_that_runs_out_names_its_own_setting(monkeypatch):
    monkeypatch.setattr(out_of_memory, "available", lambda device: 1 << 40)
    with pytest.raises(WorkFailed, match=r"in evaluation.*64 images.*\n.*eval_batch_size=32"):
        with evaluation_explained(nn.Flatten(), batches(64), "train.eval_batch_size"):
            raise RuntimeError(NO_MEMORY)


def test_what_failed_functions_held_is_given_back():
    held = []

    class Large:
        def __del__(self):
            held.append("freed")

    def fails():
        large = Large()  # noqa: F841  held by the frame, which the error's traceback holds
        raise MemoryError

    def estimate():
        held.append("estimate")
        return per_image(1)

    with pytest.raises(WorkFailed):
        with training_explained(batches(64), 1, estimate):
            fails()
    assert held == ["freed", "estimate"]


def test_sizes_have_units_that_suit_them():
    assert gib(3 * 2**30) == "3.00 GiB" and gib(2**20) == "1.0 MiB"
