"""Training runs that are stopped and resumed."""

import contextlib
import csv
import shutil
import signal

import pytest
import torch
from typer.testing import CliRunner

from qat_cli.engine.step import step as step_module


@pytest.fixture
def stop_at_step(monkeypatch):
    """Send a signal to this process in training step number ``step`` (1 is the first)."""

    def install(step, number):
        steps = []

        def clamp(*arguments):
            steps.append(None)
            if len(steps) == step:
                signal.raise_signal(number)

        monkeypatch.setattr(step_module, "clamp_latent", clamp)

    return install


@pytest.fixture
def four_bits():
    """A change of a recipe: weights and activations of 4 bit with learned scales."""
    return (
        "quant={weight: {quantizer: Int8WeightPerChannelFloatMSE, bit_width: 4, "
        "scaling_impl_type: parameter_from_stats}, input: {quantizer: Int8ActPerTensorFloat, "
        "collect_stats_steps: 2}, activation: {quantizer: Uint8ActPerTensorFloat, bit_width: 4, "
        "collect_stats_steps: 4}}"
    )


@pytest.fixture
def ends_as_if_never_stopped(qat, tmp_path, stop_at_step, monkeypatch):
    """Train whole; then stopped and resumed, and compare the two to the last bit.

    ``step`` is the first that is stopped at, ``then`` are steps after each resumption, with the
    signal that comes; ``resume_with`` are further arguments of the commands that resume. Returns
    the training parts of both ``last.pt``, of the whole run first.
    """

    def stopped(step, number, *arguments):
        with monkeypatch.context():
            stop_at_step(step, number)
            result = qat("train", *arguments, "--out", "stopped")
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        assert result.exit_code == 128 + number, result.stderr
        assert "go on with: qat train --resume --out stopped" in result.stderr

    def check(arguments, step, resume_with=(), then=()):
        whole = qat("train", *arguments, "--out", "whole")
        assert whole.exit_code == 0, whole.stderr
        stopped(step, signal.SIGINT, *arguments)
        for following, number in then:
            stopped(following, number, "--resume", *resume_with)
        resumed = qat("train", "--resume", "--out", "stopped", *resume_with)
        assert resumed.exit_code == 0, resumed.stderr
        for file in ("last.pt", "best.pt"):
            whole, other = (_read(tmp_path / name, file) for name in ("whole", "stopped"))
            assert list(whole["weights"]) == list(other["weights"])
            for key, value in whole["weights"].items():
                assert torch.equal(value, other["weights"][key]), key
        assert _figures(tmp_path / "whole") == _figures(tmp_path / "stopped")
        return tuple(_read(tmp_path / n, "last.pt")["training"] for n in ("whole", "stopped"))

    return check


@pytest.fixture(scope="session")
def float_run(tmp_path_factory, tiny_text):
    """The folder of a float run of the tiny recipe, better than chance; not to be changed."""
    from qat_cli.main import app

    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(tiny_text)
    with contextlib.chdir(folder):
        arguments = ["train", "--recipe", "tiny.yaml", "--epochs", "4", "--out", "float"]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    return folder / "float"


@pytest.fixture
def float_weights(float_run, tmp_path):
    """The best checkpoint of a copy of it, ``float/checkpoints/best.pt``."""
    shutil.copytree(float_run, tmp_path / "float")
    return "float/checkpoints/best.pt"


def _read(run, file):
    return torch.load(run / "checkpoints" / file, weights_only=True)


def _figures(run):
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]
