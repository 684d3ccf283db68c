"""``--dry-run`` of ``qat train`` and ``qat calibrate``."""

import pytest
import torch

from qat_cli.engine.memory import advice
from qat_cli.engine.run import timed_steps
from qat_cli.engine.tasks import dry_run

QUANTIZED = (
    "quant={weight: {quantizer: Int8WeightPerChannelFloat, bit_width: 4}, "
    "input: {quantizer: Int8ActPerTensorFloat}, activation: {quantizer: Uint8ActPerTensorFloat}}"
)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(timed_steps, "WARM_UP_STEPS", 1)
    monkeypatch.setattr(timed_steps, "TIMED_STEPS", 2)


def test_a_dry_run_shows_layers_sizes_memory_and_time_and_leaves_nothing(
    qat, tiny_recipe, tmp_path
):
    result = qat("train", "--recipe", tiny_recipe, QUANTIZED, "--dry-run")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "model resnet_small"
    names = [line.split()[0] for line in lines if line]
    for name in ("conv1", "stages.0.0.conv2", "linear", "total", "parameters", "memory", "time"):
        assert name in names
    assert "4 x 8" in result.stdout
    assert max(map(len, lines)) <= 80
    assert "4 bit Int8WeightPerChannelFloat" in result.stderr  # the log of a run, with its table
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_the_document_holds_the_same_and_adds_up(qat_json, tiny_recipe):
    found = qat_json("train", "--recipe", tiny_recipe, QUANTIZED, "--dry-run", "--epochs", "7")
    assert found["dry_run"] is True and found["command"] == "train"
    for key in ("parameters", "packed_bytes", "macs", "bit_operations"):
        assert sum(layer[key] for layer in found["layers"]) == found[key]
    # 8x8 images: 64 places, 1 -> 4 channels, then twice 4 -> 4; 4 features to 10 classes.
    assert found["macs"] == 64 * 9 * (4 + 16 + 16) + 40
    assert found["bit_operations"] == found["macs"] * 4 * 8
    training = found["training"]
    assert (training["batch_size"], training["steps_per_epoch"]) == (256, 6)  # 1293 images
    assert training["epoch_seconds"] == pytest.approx(6 * training["step_seconds"])
    assert training["step_seconds"] > 0
    kept, gradients = training["activation_bytes"], training["gradient_bytes"]
    scales = 5  # learned: of the images and of four activations
    assert gradients == 4 * (found["parameters"] + scales)
    # Each of the three convolutions keeps at least its input of 64 places per channel.
    assert kept is None or kept > 256 * 64 * (1 + 4 + 4) * 4


def test_a_dry_run_changes_no_weight(tiny_recipe, monkeypatch):
    from qat_cli.recipes import load_recipe
    from qat_cli.terminal.console import Console

    seen = {}
    build = dry_run.build

    def watched(*arguments):
        built = build(*arguments)
        run = seen["run"] = built.parts
        seen["before"] = {k: v.clone() for k, v in run.model.state_dict().items()}
        seen["random"] = torch.get_rng_state()
        return built

    monkeypatch.setattr(dry_run, "build", watched)
    dry_run.dry_train(load_recipe(str(tiny_recipe), [QUANTIZED]), False, False, Console())
    after = seen["run"].model.state_dict()
    assert all(torch.equal(seen["before"][key], after[key]) for key in after)
    assert not seen["run"].step.optimizer.state
    assert torch.equal(torch.get_rng_state(), seen["random"])


def test_a_float_model_is_shown_without_comparison(qat, tiny_recipe):
    result = qat("train", "--recipe", tiny_recipe, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "32 x 32" in result.stdout and "times" not in result.stdout


def test_a_mistake_in_the_data_is_found_as_in_a_run(qat, tiny_recipe, tmp_path):
    result = qat("train", "--recipe", tiny_recipe, "--data", tmp_path / "nowhere", "--dry-run")
    assert result.exit_code == 2 and "nowhere" in result.stderr


@pytest.mark.parametrize("beside", [["--resume"], ["--out", "o"]])
def test_there_is_no_folder_to_resume_or_to_write(qat, tiny_recipe, beside):
    result = qat("train", "--recipe", tiny_recipe, "--dry-run", *beside)
    assert result.exit_code == 2 and beside[0] in result.stderr


def test_a_step_that_does_not_fit_fails_and_says_what_would(qat, tiny_recipe, monkeypatch):
    def no_room(*arguments):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 8 bytes")

    monkeypatch.setattr(timed_steps, "train_epoch", no_room)
    monkeypatch.setattr(advice, "available", lambda device: 1 << 40)
    result = qat("train", "--recipe", tiny_recipe, "--dry-run")
    assert result.exit_code == 1
    assert "out of memory in training with batches of 256 images" in result.stderr
    assert "128 would fit: train.batch_size=128 with train.accumulate=2" in result.stderr


def test_calibration_has_a_dry_run_without_steps(
    qat, qat_json, tiny_recipe, float_weights, tmp_path
):
    arguments = ["calibrate", "--recipe", tiny_recipe, QUANTIZED, "--dry-run"]
    found = qat_json(*arguments, "--weights", float_weights)
    assert found["training"] is None and found["compression"] > 1
    assert not (tmp_path / "runs").exists()
    missing = qat(*arguments)
    assert missing.exit_code == 2 and "--weights" in missing.stderr
