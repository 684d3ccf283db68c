"""``qat train`` in several processes, through the real command.

The machine may be busy: nothing here depends on how long a step takes, and waits are generous.
"""

import csv
import json
import os
import signal
import subprocess
import sys

import pytest
import torch

WAIT_SECONDS = 400
COMMAND = [sys.executable, "-m", "qat_cli.main"]
# Statistics for four steps of the first epoch, then learned scales; and odd numbers of images:
# 1295 to train on, 143 to validate, 359 to test.
RECIPE = """\
name: tiny
model: {name: resnet_small, kwargs: {width: 4, blocks: [1]}}
data: {name: digits, image_size: 8, augment: {crop_padding: 0, horizontal_flip: false}}
quant:
  weight: {quantizer: Int8WeightPerChannelFloatMSE, scaling_impl_type: parameter_from_stats}
  input: {quantizer: Int8ActPerTensorFloat, collect_stats_steps: 4}
  activation: {quantizer: Uint8ActPerTensorFloat, high_percentile_q: 99.0, collect_stats_steps: 4}
optimizer: {name: sgd, lr: 0.05, clip_grad_norm: 1.0}
train: {epochs: 2, batch_size: 128, eval_batch_size: 64, device: cpu, backend: python}
"""
# What each process has at the end of every epoch, written by it; the command is the real one.
SPY = """\
import os
import torch
from qat_cli.engine.run import training
from qat_cli.main import run

settle = training.settle

def settle_and_save(model):
    settle(model)
    torch.save(model.state_dict(), f"state-{os.environ['RANK']}.pt")

training.settle = settle_and_save
run()
"""
# Where several processes share the work, slow after the first epoch of 11 batches, so that it can
# be stopped in the second on a busy machine; fast alone.
SLOW = """\
import os, time
from torch import nn

class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))
        self.batches = 0

    def forward(self, x):
        if self.training and "WORLD_SIZE" in os.environ:
            self.batches += 1
            time.sleep(1.0 if self.batches > 11 else 0.0)
        return self.layers(x)

def make():
    with open(f"process-{os.environ.get('RANK')}", "w") as stream:
        stream.write(str(os.getpid()))
    return Slow()

def fails_in_the_second():
    if os.environ.get("RANK") == "1":
        raise ValueError("no such thing here")
    return Slow()
"""


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def run(*arguments, cwd):
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )


def figures(folder):
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def checkpoint(folder):
    return torch.load(folder / "checkpoints" / "last.pt", weights_only=True)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder in which torchrun has trained the recipe in two processes, and its result."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "tiny.yaml").write_text(RECIPE)
    (folder / "spy.py").write_text(SPY)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    result = run(
        *torchrun, "spy.py", "train", "--recipe", "tiny.yaml", "--out", "out", "--json",
        "train.batch_size=64", cwd=folder,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder, result


@pytest.fixture
def alone(together, qat, tmp_path):
    """The same in one process, with batches of twice the size."""
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    result = qat("train", "--recipe", "tiny.yaml", "--out", "out")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "out"


def test_two_processes_train_as_one_with_twice_the_batch(together, alone):
    folder, _ = together
    for row, expected in zip(figures(folder / "out"), figures(alone), strict=True):
        assert row["lr"] == expected["lr"]
        for key in ("train_loss", "val_loss"):
            assert float(row[key]) == pytest.approx(float(expected[key]), rel=1e-4)
        for key in ("train_top1", "val_top1"):  # an image on the edge may fall to either side
            assert float(row[key]) == pytest.approx(float(expected[key]), abs=0.8)
    of_two, of_one = checkpoint(folder / "out")["weights"], checkpoint(alone)["weights"]
    torch.testing.assert_close(of_two, of_one, rtol=1e-3, atol=1e-4)
    counters = [int(value) for name, value in of_two.items() if name.endswith("counter")]
    assert counters and set(counters) == {4}


def test_every_process_ends_with_the_same_model_and_quantizers(together):
    folder, _ = together
    first, second = (torch.load(folder / f"state-{n}.pt", weights_only=True) for n in (0, 1))
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any("scaling_impl.value" in name for name in first)


def test_evaluation_counts_every_image_once_and_one_process_alone_finds_the_same(together, qat):
    folder, result = together
    document = json.loads(result.stdout)  # one document: only the first process answers
    assert (document["images"], document["val"]["images"]) == (359, 143)
    assert document["processes"] == 2
    measured = qat("eval", "--checkpoint", folder / "out" / "checkpoints" / "best.pt", "--json")
    assert json.loads(measured.stdout)["matches_recorded"] is True, measured.stderr
    log = (folder / "out" / "log.txt").read_text()
    assert log.count("run folder:") == 1 and "2 processes" in log


class Started:
    """``qat train --nproc 2`` with the slow model, once its first epoch is over."""

    def __init__(self, folder):
        (folder / "slow.py").write_text(SLOW)
        (folder / "slow.yaml").write_text(
            "name: slow\n"
            "model: {name: 'slow.py:make'}\n"
            "data: {name: digits, image_size: 8}\n"
            "train: {epochs: 3, batch_size: 64, device: cpu}\n"
        )
        self.process = subprocess.Popen(
            [*COMMAND, "train", "--recipe", "slow.yaml", "--model", "slow.py:make", "--nproc", "2",
             "--out", "out"],
            cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.said = ""
        for line in self.process.stderr:
            self.said += line
            if "epoch 1/3" in line:
                return
        raise AssertionError(self.said)

    def end(self):
        self.said += self.process.communicate(timeout=WAIT_SECONDS)[1]
        return self.process.returncode


@pytest.fixture
def started(tmp_path):
    running = Started(tmp_path)
    yield running
    running.process.kill()  # the processes that it started see that it is gone, and end
    running.process.wait()


def test_a_signal_saves_once_and_the_run_goes_on_in_another_number_of_processes(
    started, qat, tmp_path
):
    started.process.send_signal(signal.SIGTERM)
    assert started.end() == 143, started.said
    assert started.said.count("interrupted; saved out/checkpoints/last.pt") == 1
    assert "go on with: qat train --nproc 2 --resume --out out --model" in started.said
    state = checkpoint(tmp_path / "out")["training"]["state"]
    assert state["epoch"] == 1 and 0 < state["batch"] < 11
    resumed = qat("train", "--resume", "--out", "out", "--model", "slow.py:make")
    assert resumed.exit_code == 0, resumed.stderr
    assert f"batch {state['batch']} is batch {2 * state['batch']}" in resumed.stderr
    rows = figures(tmp_path / "out")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]


def test_a_killed_process_ends_the_job_and_is_named(started, tmp_path):
    os.kill(int((tmp_path / "process-1").read_text()), signal.SIGKILL)
    assert started.end() == 1, started.said
    assert "process 1 was killed by SIGKILL" in started.said
    assert "the connection to another process of this job was lost" in started.said
    assert "The last good state is out/checkpoints/last.pt" in started.said
    assert "Traceback" not in started.said


def test_what_fails_in_one_process_is_said_once_and_leaves_no_folder(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    result = run(
        *COMMAND, "train", "--recipe", "float_resnet", "--model", "slow.py:fails_in_the_second",
        "data.image_size=8", "--nproc=2", "--out", "out", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("error: ") == 1
    assert "error: process 1: model 'slow.py:fails_in_the_second'" in result.stderr
    assert "no such thing here" in result.stderr
    assert not (tmp_path / "out").exists()
