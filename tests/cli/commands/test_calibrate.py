"""``qat calibrate``: from float weights to a quantized checkpoint."""

import pytest

QUANT = (
    "quant={weight: {quantizer: Int8WeightPerChannelFloat}, input: "
    "{quantizer: Int8ActPerTensorFloat}, activation: {quantizer: Uint8ActPerTensorFloat}, "
    "add: {quantizer: Int8ActPerTensorFloat}}"
)


def test_eight_bits_lose_little_and_the_checkpoint_repeats_the_figures(
    qat_json, tiny_recipe, float_weights
):
    done = qat_json(
        "calibrate", "--recipe", tiny_recipe, "--weights", float_weights, QUANT, "--images", "100",
        "--out", "ptq",
    )  # fmt: skip
    assert done["calibration_images"] == 100
    assert abs(done["top1"] - done["float_test"]["top1"]) < 5
    assert done["loss"] != done["float_test"]["loss"]
    measured = qat_json("eval", "--checkpoint", "ptq/checkpoints/best.pt")
    assert measured["matches_recorded"] is True and measured["top1"] == done["top1"]


def test_too_little_memory_says_which_key_makes_the_batches_smaller(
    qat, tiny_recipe, float_weights, monkeypatch
):
    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr("qat_cli.engine.tasks.calibrate.run_steps", full)
    result = qat("calibrate", "--recipe", tiny_recipe, "--weights", float_weights, QUANT)
    assert result.exit_code == 1
    assert "out of memory" in result.stderr and "calibrate.batch_size" in result.stderr


def test_both_figures_are_shown_and_the_folder_is_complete(
    qat, tiny_recipe, float_weights, tmp_path
):
    result = qat("calibrate", "--recipe", tiny_recipe, "--weights", float_weights, QUANT)
    assert result.exit_code == 0, result.stderr
    assert "float       top-1" in result.stdout and "quantized   top-1" in result.stdout
    run = tmp_path / "runs" / "calibrate" / "tiny-001"
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert files == {
        "recipe.yaml",
        "summary.json",
        "confusion.png",
        "log.txt",
        "checkpoints/best.pt",
    }
    again = ["--recipe", run / "recipe.yaml", "--out", "again", "--quiet"]
    quiet = qat("calibrate", *again)
    assert quiet.exit_code == 0 and quiet.stderr == ""
    assert "calibrated on 512 training images" in (tmp_path / "again" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which recipe"),
        (["--recipe", "resnet_w8a8_ptq"], "add --weights FILE"),
        (["--recipe", "float_resnet", "--weights", "w.pt"], "no quant section"),
        (["--recipe", "resnet_w8a8_ptq", "--weights", "gone.pt"], "gone.pt does not exist"),
    ],
)
def test_what_is_missing_is_said(qat, arguments, message, tmp_path):
    result = qat("calibrate", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_folder_without_training_images_is_refused(qat, tiny_recipe, float_weights, image_folder):
    result = qat(
        "calibrate", "--recipe", "resnet_w8a8_ptq", "--weights", float_weights,
        "--data", image_folder / "test" / "..", "--model", "resnet20",
    )  # fmt: skip
    assert result.exit_code == 2
