"""An epoch of ``qat train``, against a bare float loop.

``qat train`` runs as a user runs it, in a process of its own; the seconds are its own, of training
without validation, as images per second in ``metrics.csv``. The first epoch, which holds the
statistics phase, is left out of the figure and given among the details; that phase is set shorter
than the recipe's, which an epoch of so few images would not be enough for.
"""

from __future__ import annotations

import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.measure import ratio, synchronize
from benchmarks.resnet20 import BATCH_SIZE, make_model, statistics_phase
from benchmarks.rows import Row, timed_row
from benchmarks.script import Options, run
from benchmarks.synthetic import write_image_folder

GOAL = 1.20
RECIPE = "resnet_w4a4"
PAIRS, EPOCHS = 3, 3
STATISTICS_STEPS = 5


def measure(options: Options) -> list[Row]:
    """One row; the two take turns."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = options.data
        if data is None:
            data = root / "images"
            write_image_folder(data)
        images, labels = training_images(data)
        quantized: list[list[float]] = []
        bare: list[float] = []
        for pair in range(2 if options.quick else PAIRS):
            quantized.append(train_command(data, root / f"run{pair}", options))
            bare.append(statistics.median(bare_loop(images, labels, EPOCHS, options.device)[1:]))
    later = [statistics.median(epochs[1:]) for epochs in quantized]
    return [
        timed_row(
            "epoch of qat train / bare float loop",
            GOAL,
            ratio(later, bare),
            details={
                "images": len(labels),
                "qat_seconds_per_image": quantized,
                "float_seconds_per_image": bare,
                "first_epoch": ratio([epochs[0] for epochs in quantized], bare).median,
            },
        )
    ]


def train_command(data: Path, out: Path, options: Options) -> list[float]:
    """Seconds per training image in each epoch of ``qat train``.

    Raises:
        RuntimeError: the command failed; its last words are in the message.
    """
    command = [sys.executable, "-m", "qat_cli.main", "train", "--recipe", RECIPE]
    command += ["--model", "resnet20", "--data", str(data), "--out", str(out), "--json"]
    command += ["--epochs", str(EPOCHS), "--batch-size", str(BATCH_SIZE)]
    command += ["--device", options.device.type]
    command += statistics_phase(STATISTICS_STEPS)
    done = subprocess.run(
        command, env=training_environment(options), capture_output=True, text=True
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"qat train ended with exit code {done.returncode}: {last}")
    with (out / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [1 / float(row["images_per_second"]) for row in csv.DictReader(file)]


def training_environment(options: Options) -> dict[str, str]:
    """One thread and the backend, for a process that reads them from its environment."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "QAT_JIT": "0",
        "QAT_NATIVE_STE_BACKEND": str(int(options.backend == "native")),
    }


def training_images(data: Path) -> tuple[Tensor, Tensor]:
    """Normalised training images of ``data``, float32 [N, 3, H, W], and their labels, int64 [N]."""
    from qat_cli.data import load_data, prepared, training_batches
    from qat_cli.recipes import load_recipe
    from qat_cli.terminal.console import Console

    recipe = load_recipe(RECIPE, [f"data.name={data}"])
    dataset, _ = prepared(load_data(recipe.data), ["train"], recipe.data, Console(json_output=True))
    batches = training_batches(dataset, recipe, torch.device("cpu")).epoch()
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


def bare_loop(images: Tensor, labels: Tensor, epochs: int, device: torch.device) -> list[float]:
    """Seconds per image in each epoch of the least code that trains the float model."""
    torch.manual_seed(0)
    model = make_model("float").to(device)
    images, labels = images.to(device), labels.to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    seconds = []
    for _ in range(epochs):
        synchronize(device)
        started = time.perf_counter()
        for index in torch.randperm(len(labels), device=device).split(BATCH_SIZE):
            optimizer.zero_grad(set_to_none=True)
            logits = model(images.index_select(0, index))
            F.cross_entropy(logits, labels.index_select(0, index)).backward()
            optimizer.step()
        synchronize(device)
        seconds.append((time.perf_counter() - started) / len(labels))
    return seconds


if __name__ == "__main__":
    run(measure, __doc__ or "")
