"""``qat train``: run folders, resumption, interruption."""

import csv
import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from qat.ops.native import load as native

QUANTIZED = (
    "quant={weight: {quantizer: Int8WeightPerChannelFloatMSE, bit_width: 4, "
    "scaling_impl_type: parameter_from_stats}, input: {quantizer: Int8ActPerTensorFloat}, "
    "activation: {quantizer: Uint8ActPerTensorFloat, bit_width: 4, collect_stats_steps: 4}}"
)


def weights(run):
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)["weights"]


def figures(run):
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    return [{k: v for k, v in row.items() if "second" not in k} for row in rows]


def test_a_run_leaves_everything_in_its_folder(qat, tiny_recipe, tmp_path):
    result = qat("train", "--recipe", tiny_recipe)
    assert result.exit_code == 0, result.stderr
    run = tmp_path / "runs" / "train" / "tiny-001"
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert files == {
        "recipe.yaml",
        "metrics.csv",
        "summary.json",
        "curves.png",
        "confusion.png",
        "log.txt",
        "checkpoints/best.pt",
        "checkpoints/last.pt",
    }
    assert "next        qat eval --checkpoint runs/train/tiny-001/checkpoints/best.pt" in (
        result.stdout
    )
    assert "epoch 2/2" in result.stderr and "epoch 2/2" in (run / "log.txt").read_text()


def test_a_quiet_run_says_nothing_but_its_answer_and_its_log_is_complete(
    qat, tiny_recipe, tmp_path
):
    result = qat("train", "--recipe", tiny_recipe, QUANTIZED, "--quiet", "--out", "out")
    assert result.exit_code == 0 and result.stderr == ""
    assert "test        top-1" in result.stdout
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "epoch 2/2" in log and "stages.0.0.conv1" in log  # the table of layers too
    measured = qat("eval", "--checkpoint", "out/checkpoints/best.pt", "--quiet")
    assert measured.stderr == "" and "top-1" in measured.stdout


def test_json_prints_the_summary_and_nothing_else(qat_json, tiny_recipe, tmp_path):
    document = qat_json("train", "--recipe", tiny_recipe, "--out", "out", "train.epochs=1")
    assert document == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert document["images"] == 359
    assert document["top1"] == document["test"]["top1"]
    assert 0 <= document["top1"] <= document["top5"] <= 100


def test_the_resolved_recipe_reruns_the_experiment(qat, qat_json, tiny_recipe, tmp_path):
    qat("train", "--recipe", tiny_recipe, "--out", "a", "--epochs", "1", QUANTIZED)
    qat_json("train", "--recipe", "a/recipe.yaml", "--out", "b")
    first, second = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("first", "second", "changes"),
    [
        (3, 3, []),
        (1, 1, ["train.accumulate=4", "train.early_stopping_patience=1"]),
    ],
)
def test_an_interrupted_run_ends_as_if_it_had_never_stopped(
    ends_as_if_never_stopped, tiny_recipe, first, second, changes
):
    # Six steps an epoch: stopped inside an epoch, while activation statistics are collected, then
    # after that, between the last step of an epoch and its validation. Then the same with two
    # optimizer steps an epoch, the second of them of two batches.
    arguments = ["--recipe", tiny_recipe, QUANTIZED, *changes]
    ends_as_if_never_stopped(arguments, first, then=[(second, signal.SIGTERM)])


def test_binary_weights_are_clamped_and_every_setting_of_the_loop_runs(qat, tiny_recipe, tmp_path):
    result = qat(
        "train", "--recipe", tiny_recipe, "--out", "out", "--lr", "1.0",
        "quant={weight: {quantizer: SignedBinaryWeightPerTensorConst}}", "train.latent_clip=0.05",
        "train.channels_last=true", "train.label_smoothing=0.1", "optimizer.clip_grad_norm=5",
        "schedule={name: step, milestones: [1], warmup_epochs: 1}",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    latent = weights(tmp_path / "out")["linear.weight"]
    assert latent.abs().max() == pytest.approx(0.05)
    checked = qat("eval", "--checkpoint", "out/checkpoints/best.pt")
    assert "exactly the figures recorded" in checked.stdout


def test_a_run_whose_validation_gets_no_better_stops_early_and_says_so(qat, tiny_recipe, tmp_path):
    arguments = ["--epochs", "9", "--lr", "1e-12", "train.early_stopping_patience=2"]
    result = qat("train", "--recipe", tiny_recipe, *arguments, "--seed", "1", "--out", "out")
    assert result.exit_code == 0, result.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    trained = summary["epochs_trained"]
    top1 = [float(row["val_top1"]) for row in figures(tmp_path / "out")]
    assert summary["stopped_early"] and len(top1) == trained < 9
    assert max(top1[-2:]) <= max(top1[:-2])
    assert f"stopped     early, after {trained} of 9 epochs" in result.stdout
    assert "no higher validation top-1 in 2" in result.stdout
    again = qat("train", "--resume", "--out", "out")
    assert again.exit_code == 0 and len(figures(tmp_path / "out")) == trained


@pytest.mark.parametrize("key", ["train.accumulate", "train.early_stopping_patience"])
def test_a_count_of_nothing_is_refused_by_name(qat, tiny_recipe, key):
    result = qat("train", "--recipe", tiny_recipe, f"{key}=0")
    assert result.exit_code == 2
    assert key in result.stderr and "Traceback" not in result.stderr


def test_resume_without_out_takes_the_newest_run_of_the_recipe(qat, tiny_recipe, tmp_path):
    qat("train", "--recipe", tiny_recipe, "train.epochs=1")
    result = qat("train", "--recipe", tiny_recipe, "train.epochs=1", "--resume")
    assert result.exit_code == 0, result.stderr
    assert "resuming runs/train/tiny-001 after epoch 1" in result.stderr
    assert not (tmp_path / "runs" / "train" / "tiny-002").exists()


def test_a_resumed_run_keeps_its_recipe(qat, tiny_recipe):
    qat("train", "--recipe", tiny_recipe, "train.epochs=1", "--out", "out")
    result = qat("train", "--resume", "--out", "out", "--epochs", "9", "optimizer.lr=0.05")
    assert result.exit_code == 2
    assert "train.epochs is 1 in the run, 9 on the command line" in result.stderr
    assert "optimizer.lr" not in result.stderr  # that one agrees


def test_a_model_and_data_of_ones_own(qat, qat_json, image_folder, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(num_classes):\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(),\n"
        "                         nn.Linear(144, num_classes))\n"
    )
    trained = qat_json(
        "train", "--recipe", "float_resnet", "--model", "mine.py:net", "--data", image_folder,
        "--epochs", "2", "--batch-size", "8", "--lr", "0.05", "--out", "out",
    )  # fmt: skip
    assert trained["images"] == 12
    refused = qat("eval", "--checkpoint", "out/checkpoints/best.pt")
    assert refused.exit_code == 2 and "--model" in refused.stderr
    measured = qat_json("eval", "--checkpoint", "out/checkpoints/best.pt", "--model", "mine.py:net")
    assert measured["matches_recorded"] is True


def test_grey_images_are_repeated_for_a_model_that_takes_rgb(qat, tmp_path):
    result = qat(
        "train", "--recipe", "float_resnet", "--model", "resnet20", "model.kwargs.in_channels=3",
        "--epochs", "1", "data.image_size=4", "--batch-size", "512", "--out", "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "grey channel is repeated" in result.stderr
    assert "channels: 3" in (tmp_path / "out" / "recipe.yaml").read_text()


def test_the_backend_is_chosen_said_and_recorded(qat, tiny_recipe, float_run, tmp_path):
    base = ["train", "--recipe", tiny_recipe, "--epochs", "1"]
    result = qat(*base, QUANTIZED, "--backend", "python", "--out", "quantized")
    assert result.exit_code == 0, result.stderr
    assert "backend python: as asked for" in (tmp_path / "quantized" / "log.txt").read_text()
    assert json.loads((tmp_path / "quantized" / "summary.json").read_text())["backend"] == "python"
    assert "backend: python" in (tmp_path / "quantized" / "recipe.yaml").read_text()
    measured = qat("eval", "--checkpoint", "quantized/checkpoints/best.pt")
    assert "backend python: as asked for" in measured.stderr
    assert "exactly the figures recorded" in measured.stdout
    as_float = json.loads((float_run / "summary.json").read_text())
    assert as_float["backend"] is None


def test_a_backend_that_cannot_be_built_is_refused_and_leaves_no_folder(
    qat, tiny_recipe, tmp_path, monkeypatch
):
    failed = native.LoadResult(library=None, failure="no C++ compiler found")
    monkeypatch.setattr(native, "load", lambda: failed)
    result = qat("train", "--recipe", tiny_recipe, QUANTIZED, "--backend", "native")
    assert result.exit_code == 2
    assert "no C++ compiler found" in result.stderr and "--backend auto" in result.stderr
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_run_that_goes_on_with_another_backend_is_warned(
    qat, tiny_recipe, tmp_path, monkeypatch, stop_at_step
):
    with monkeypatch.context():
        stop_at_step(3, signal.SIGINT)
        assert qat("train", "--recipe", tiny_recipe, QUANTIZED, "--out", "out").exit_code == 130
    last = tmp_path / "out" / "checkpoints" / "last.pt"
    document = torch.load(last, weights_only=True)
    document["training"]["backend"] = "elsewhere"
    torch.save(document, last)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    resumed = qat("train", "--resume", "--out", "out")
    assert resumed.exit_code == 0, resumed.stderr
    assert "warning: the run began on backend elsewhere and goes on with" in resumed.stderr


def test_start_weights_are_taken_float_or_quantized(qat, tiny_recipe, float_weights):
    base = ["train", "--recipe", tiny_recipe, "--epochs", "1"]
    first = qat(*base, QUANTIZED, "--weights", float_weights, "--out", "quantized")
    assert first.exit_code == 0, first.stderr
    again = qat(*base, QUANTIZED, "--weights", "quantized/checkpoints/best.pt", "--out", "again")
    assert "quantizers: taken over" in again.stderr
    back = qat(*base, "--weights", "quantized/checkpoints/best.pt", "--out", "back")
    assert back.exit_code == 0 and "quantizers: made afresh" in back.stderr


def test_the_float_model_that_training_starts_from_is_compared_with(
    qat, qat_json, tiny_recipe, float_weights, tmp_path, stop_at_step, monkeypatch
):
    as_float = json.loads((tmp_path / "float" / "summary.json").read_text())
    assert as_float["float_test"] is None  # nothing is quantized
    base = ["train", "--recipe", tiny_recipe, "--epochs", "1"]
    arguments = [*base, QUANTIZED, "--weights", float_weights]
    with monkeypatch.context():  # the figure outlives an interruption
        stop_at_step(3, signal.SIGINT)
        assert qat(*arguments, "--out", "quantized").exit_code == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    shown = qat("train", "--resume", "--out", "quantized").stdout
    summary = json.loads((tmp_path / "quantized" / "summary.json").read_text())
    assert summary["float_test"] == as_float["test"]
    difference = summary["top1"] - as_float["top1"]
    assert f"float       top-1 {as_float['top1']:.2f} % before quantization" in shown
    assert f"has {difference:+.2f}\n" in shown
    again = [*base, QUANTIZED, "--weights", "quantized/checkpoints/best.pt"]
    assert qat_json(*again, "--out", "again")["float_test"] == as_float["test"]  # as recorded
    other = qat_json(*again, "data.image_size=4", "--out", "other")  # recorded for other images
    assert other["float_test"] is None


def test_a_logger_that_is_not_installed_is_refused_before_anything_is_trained(
    qat, tiny_recipe, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    result = qat("train", "--recipe", tiny_recipe, "--logger", "tensorboard")
    assert result.exit_code == 2
    assert "pip install 'qat-cli[tensorboard]'" in result.stderr
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_diverging_run_fails_and_names_where(qat, tiny_recipe, tmp_path):
    result = qat("train", "--recipe", tiny_recipe, "--lr", "1e30", "--out", "out")
    assert result.exit_code == 1
    assert "training diverged: the loss is" in result.stderr
    assert "The last good state is out/checkpoints/last.pt" in result.stderr
    assert "error: training diverged" in (tmp_path / "out" / "log.txt").read_text()
    assert "Traceback" not in result.stderr


def test_a_mistyped_input_leaves_no_run_folder(qat, tmp_path):
    result = qat("train", "--recipe", "float_resnet", "--data", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert not (tmp_path / "runs" / "train" / "float_resnet-001").exists()


@pytest.mark.slow
def test_a_real_sigterm_saves_and_exits_with_143(tiny_recipe, tmp_path):
    arguments = ["train", "--recipe", str(tiny_recipe), "--epochs", "500", "--out", "out"]
    with subprocess.Popen(
        [sys.executable, "-m", "qat_cli.main", *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        for line in process.stderr:
            if "epoch   1/500" in line:
                process.terminate()
        assert process.wait(60) == 143
    assert (tmp_path / "out" / "checkpoints" / "last.pt").exists()


def test_a_wrong_quantizer_is_reported_before_any_image_is_decoded(qat, tiny_recipe, image_folder):
    (image_folder / "train" / "ant" / "003.png").write_bytes(b"no image")
    quant = "quant={weight: {quantizer: SignedBinaryWeightPerTensorConst, bit_width: 4}}"
    result = qat("train", "--recipe", tiny_recipe, "--data", image_folder, quant)
    assert result.exit_code == 2
    assert "does not use bit_width" in result.stderr and "003.png" not in result.stderr
