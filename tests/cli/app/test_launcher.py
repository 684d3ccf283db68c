"""``--nproc``: number and words of the processes."""

import pytest
import torch

from qat_cli.app.launcher import process_count, without_option
from qat_cli.engine.machine import distributed
from qat_cli.errors import UserError


@pytest.mark.parametrize(
    ("wanted", "gpus", "expected"), [("3", 0, 3), ("auto", 0, 1), ("auto", 4, 4), ("gpu", 2, 2)]
)
def test_a_number_or_one_process_for_each_gpu(monkeypatch, wanted, gpus, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert process_count(wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("0", "must be a number from 1, gpu or auto, got '0'"),
        ("two", "must be a number from 1"),
        ("gpu", "no GPU on this machine; give a number of processes with --device cpu"),
    ],
)
def test_what_cannot_be_started_is_refused(qat, tiny_recipe, monkeypatch, wanted, says):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = qat("train", "--recipe", tiny_recipe, "--nproc", wanted)
    assert result.exit_code == 2 and says in result.stderr


def test_processes_are_not_started_inside_a_group_of_processes(qat, tiny_recipe, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = qat("train", "--recipe", tiny_recipe, "--nproc", "2")
    assert result.exit_code == 2
    assert "torchrun has done so already; leave it out" in result.stderr


def test_one_process_needs_no_others(qat, tiny_recipe, tmp_path):
    result = qat("train", "--recipe", tiny_recipe, "--nproc", "1", "--epochs", "1", "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "out" / "checkpoints" / "best.pt").exists()


def test_a_group_that_the_environment_does_not_describe_is_refused(qat, tiny_recipe, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    result = qat("train", "--recipe", tiny_recipe)
    assert result.exit_code == 2
    assert "WORLD_SIZE is 2, but the processes do not find each other" in result.stderr
    assert "Start them with torchrun or --nproc, or unset WORLD_SIZE" in result.stderr
    assert distributed.size() == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--nproc", "2", "--out", "x"],
        ["train", "--out", "x", "--nproc=2"],
    ],
)
def test_the_processes_get_the_same_words_without_the_option(arguments):
    assert without_option(arguments) == ["train", "--out", "x"]
    assert without_option(["train", "--", "--nproc", "2"]) == ["train", "--", "--nproc", "2"]


def test_a_gpu_of_ones_own_has_to_be_there(monkeypatch):
    from qat_cli.engine.machine.backend import choose_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(distributed, "size", lambda: 3)
    monkeypatch.setattr(distributed, "local_size", lambda: 3)
    with pytest.raises(UserError, match="3 processes on this machine need 3 GPUs: torch finds 2"):
        choose_device("auto")
    with pytest.raises(UserError, match="'cuda:1' is one device, and there are 3 processes"):
        choose_device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu")
