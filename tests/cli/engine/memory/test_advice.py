"""Memory that runs out: recognised, and a batch that would fit."""

import pytest
import torch
from torch import nn

from qat_cli.data import Batches, Part
from qat_cli.data.images.stores import MemoryImages
from qat_cli.engine.memory import advice
from qat_cli.engine.memory.advice import (
    batches_per_step,
    evaluation_failure,
    gib,
    halvings,
    is_out_of_memory,
    training_failure,
)
from qat_cli.engine.memory.estimate import MemoryEstimate, Readings

NO_MEMORY = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes."


@pytest.fixture(autouse=True)
def no_garbage_collection(request, monkeypatch):
    """It takes a second in a process that has run thousands of tests, and one test needs it."""
    if "what_failed_functions_held" not in request.node.name:
        monkeypatch.setattr(advice.gc, "collect", lambda: 0)


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
    monkeypatch.setattr(advice, "available", lambda device: 2000)
    failure = training_failure(RuntimeError(NO_MEMORY), batches(64), 2, lambda: per_image(100))
    text = str(failure)
    assert "out of memory in training with batches of 64 images (train.batch_size)" in text
    assert "DefaultCPUAllocator: can't allocate memory" in text
    assert "16 would fit: train.batch_size=16 with train.accumulate=8" in text  # 1800 bytes of 2000
    assert "keeps 128 images per step; --auto-batch" in text


def test_where_no_image_fits_another_model_is_suggested(monkeypatch):
    monkeypatch.setattr(advice, "available", lambda device: 50)
    failure = training_failure(MemoryError(), batches(64), 1, lambda: per_image(100))
    assert "not even one image fits: use a smaller model" in str(failure)


def test_memory_that_runs_out_in_the_estimate_too_is_no_second_error():
    def estimate():
        raise MemoryError

    text = str(training_failure(MemoryError(), batches(64), 1, estimate))
    assert "too little is left" in text and "train.batch_size=32" in text


def test_an_evaluation_that_runs_out_names_its_own_setting(monkeypatch):
    monkeypatch.setattr(advice, "available", lambda device: 1 << 40)
    error = RuntimeError(NO_MEMORY)
    first, second = str(evaluation_failure(error, nn.Flatten(), batches(64), "n.size")).split("\n")
    assert "in evaluation with batches of 64 images (n.size)" in first
    assert "set n.size=32" in second


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

    try:
        fails()
    except MemoryError as error:
        training_failure(error, batches(64), 1, estimate)
    assert held == ["freed", "estimate"]


def test_sizes_have_units_that_suit_them():
    assert gib(3 * 2**30) == "3.00 GiB" and gib(2**20) == "1.0 MiB"
