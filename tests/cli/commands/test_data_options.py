"""Data through the real commands: made up, mixed, streamed, damaged."""

import os
import signal
import subprocess
import sys

import pytest
import torch
import yaml

FAKE = ("--data", "fake", "data.fake.classes=3", "data.image_size=8")
FEW = "data.fake.images=90"
MIXED = ("data.augment.mixup=0.2", "data.augment.cutmix=1", "data.augment.rand_augment=9")
STREAMED = "data.memory_limit=0"


def weights(run):
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)["weights"]


def resolved(run):
    return yaml.safe_load((run / "recipe.yaml").read_text())["data"]


def spoil(folder, *names):
    for name in names:
        (folder / name).write_text("no image")


def test_made_up_images_are_learned(qat_json, tiny_recipe):
    enough = ["data.fake.images=300", "train.batch_size=16", "--epochs=6"]
    found = qat_json("train", "--recipe", tiny_recipe, *FAKE, *enough)
    assert found["top1"] > 60  # chance: 33


@pytest.mark.parametrize("place", [[], [STREAMED]], ids=["memory", "streamed"])
def test_a_stopped_run_with_mixed_images_ends_as_if_it_had_never_stopped(
    qat, tiny_recipe, tmp_path, stop_at_step, monkeypatch, place
):
    arguments = [
        "train",
        "--recipe",
        tiny_recipe,
        *FAKE,
        FEW,
        *MIXED,
        *place,
        "train.batch_size=16",
    ]
    whole = qat(*arguments, "--out", "whole")
    assert whole.exit_code == 0, whole.stderr
    with monkeypatch.context():
        stop_at_step(2, signal.SIGINT)
        assert qat(*arguments, "--out", "stopped").exit_code == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    resumed = qat("train", "--resume", "--out", "stopped")
    assert resumed.exit_code == 0, resumed.stderr
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_streaming_gives_the_figures_of_memory(qat, tiny_recipe, image_folder, tmp_path):
    for out, place in (("memory", []), ("streamed", [STREAMED, "data.workers=3"])):
        arguments = ["train", "--recipe", tiny_recipe, "--data", image_folder, *place]
        result = qat(*arguments, "train.batch_size=8", "--epochs", "1", "--out", out)
        assert result.exit_code == 0, result.stderr
    expected, found = weights(tmp_path / "memory"), weights(tmp_path / "streamed")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_measured_normalisation_is_shown_and_written_into_the_recipe(
    qat, tiny_recipe, image_folder, tmp_path
):
    arguments = ["train", "--recipe", tiny_recipe, "--data", image_folder, "--epochs", "1"]
    result = qat(*arguments, "data.normalize=measured", "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert "measured on 33 training images: mean 0." in result.stderr
    data = resolved(tmp_path / "out")
    assert data["normalize"] == "given" and len(data["mean"]) == 3
    assert data["mean"] != [0.485, 0.456, 0.406]


def test_measured_beside_given_numbers_is_refused(qat, tiny_recipe):
    result = qat(
        "train", "--recipe", tiny_recipe, "data.normalize=measured", "data.mean=[0]", "data.std=[1]"
    )
    assert result.exit_code == 2 and "leave one out" in result.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["data.augment.crop_padding=2", "data.augment.random_resized_crop=0.5"], "two kinds"),
        (["data.fake.images=50"], "for name 'fake', not for 'digits'"),
        (["data.center_crop=0"], "greater than 0"),
        (["data.augment.rand_augment=31"], "less than or equal to 30"),
        (["data.augment.mixup=0.2", "model.kwargs.num_classes=12"], "num_classes"),
    ],
    ids=["two crops", "fake", "centre crop", "magnitude", "outputs"],
)
def test_what_cannot_be_is_refused(qat, tiny_recipe, change, says):
    result = qat("train", "--recipe", tiny_recipe, *change)
    assert result.exit_code == 2
    assert says in result.stderr


def test_bad_files_are_skipped_by_train_and_eval(qat, qat_json, tiny_recipe, image_folder):
    spoil(image_folder / "train" / "ant", "000.png", "001.png")
    spoil(image_folder / "test" / "bee", "000.png")
    train = ["train", "--recipe", tiny_recipe, "--data", image_folder, "--epochs", "1"]
    refused = qat(*train)
    assert refused.exit_code == 2 and "--skip-bad-files" in refused.stderr
    result = qat(*train, "--skip-bad-files", "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert "warning: 1 of 12 test images left out:" in result.stderr
    # The checkpoint's recipe remembers it; a float model is told.
    found = qat_json("eval", "--checkpoint", "out/checkpoints/best.pt")
    assert found["images"] == 11 and found["matches_recorded"]


def test_bad_files_are_skipped_by_calibrate(qat, tiny_recipe, image_folder):
    train = ["train", "--recipe", tiny_recipe, "--data", image_folder, "--epochs", "1"]
    assert qat(*train, "--out", "float").exit_code == 0
    spoil(image_folder / "train" / "ant", *[f"{i:03d}.png" for i in range(6)])
    calibrate = ["calibrate", "--recipe", "resnet_w8a8_ptq", "--data", image_folder]
    calibrate += ["--model", "resnet_small", "model.kwargs={width: 4, blocks: [1]}"]
    calibrate += ["--weights", "float/checkpoints/best.pt", "data.image_size=8"]
    assert "cannot use" in qat(*calibrate).stderr
    result = qat(*calibrate, "--skip-bad-files")
    assert result.exit_code == 0, result.stderr
    assert "calibration images left out:" in result.stderr


def test_a_float_model_is_evaluated_without_bad_files(qat, qat_json, tiny_recipe, image_folder):
    train = ["train", "--recipe", tiny_recipe, "--data", image_folder, "--epochs", "1"]
    assert qat(*train, "model.kwargs={}", "--out", "float").exit_code == 0
    spoil(image_folder / "test" / "cat", "000.png", "003.png")
    options = ["--model", "resnet_small", "--weights", "float/checkpoints/best.pt"]
    assert qat("eval", *options, "--data", image_folder).exit_code == 2
    found = qat_json("eval", *options, "--data", image_folder, "--skip-bad-files")
    assert found["images"] == 10


@pytest.mark.slow
def test_ctrl_c_while_images_are_streamed_does_not_hang(tiny_recipe, tmp_path):
    big = ["data.image_size=224", "data.fake.images=3000", "data.fake.classes=3", STREAMED]
    arguments = ["train", "--recipe", str(tiny_recipe), "--data", "fake", *big, *MIXED]
    with subprocess.Popen(
        [sys.executable, "-m", "qat_cli.main", *arguments, "train.batch_size=64", "--out", "out"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        for line in process.stderr:
            if line.startswith("epoch 1: "):  # said every ten seconds
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert (tmp_path / "out" / "checkpoints" / "last.pt").exists()
