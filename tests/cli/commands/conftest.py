"""Training runs that are stopped and resumed."""

import csv
import signal

import pytest
import torch

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
    """Train whole; then stopped in step ``step`` and resumed, and compare the two to the last bit.

    ``resume_with`` are further arguments of the command that resumes. Returns the training
    parts of both ``last.pt``, of the whole run first.
    """

    def check(arguments, step, resume_with=()):
        for name in ("whole", "stopped"):
            with monkeypatch.context():
                stop_at_step(step if name == "stopped" else 0, signal.SIGINT)
                result = qat("train", *arguments, "--out", name)
            assert result.exit_code == (0 if name == "whole" else 130), result.stderr
            monkeypatch.undo()
            monkeypatch.chdir(tmp_path)
        resumed = qat("train", "--resume", "--out", "stopped", *resume_with)
        assert resumed.exit_code == 0, resumed.stderr
        for file in ("last.pt", "best.pt"):
            whole, stopped = (_read(tmp_path / name, file) for name in ("whole", "stopped"))
            assert list(whole["weights"]) == list(stopped["weights"])
            for key, value in whole["weights"].items():
                assert torch.equal(value, stopped["weights"][key]), key
        assert _figures(tmp_path / "whole") == _figures(tmp_path / "stopped")
        return tuple(_read(tmp_path / n, "last.pt")["training"] for n in ("whole", "stopped"))

    return check


def _read(run, file):
    return torch.load(run / "checkpoints" / file, weights_only=True)


def _figures(run):
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]
