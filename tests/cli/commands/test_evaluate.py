"""``qat eval``: checkpoints and float weights."""

import pytest
import torch

from qat_cli.models import build_model
from qat_cli.recipes.schema import ModelConfig


@pytest.fixture
def trained(qat_json, tiny_recipe, tmp_path):
    """A checkpoint of a quantized run, and its summary."""
    quant = "quant={weight: {quantizer: SignedBinaryWeightPerTensorConst}, activation: "
    quant += (
        "{quantizer: Uint8ActPerTensorFloat}, rules: [{match: {position: last}, weight: null}]}"
    )
    summary = qat_json("train", "--recipe", tiny_recipe, quant, "--out", "out")
    return tmp_path / "out" / "checkpoints" / "best.pt", summary


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_checkpoint_gives_exactly_the_figures_that_training_recorded(qat_json, trained, split):
    checkpoint, summary = trained
    measured = qat_json("eval", "--checkpoint", checkpoint, "--split", split)
    assert {key: measured[key] for key in summary[split]} == summary[split]
    assert measured["matches_recorded"] is True


def test_other_data_is_prepared_as_the_training_data_was(qat, qat_json, image_folder):
    run = qat(
        "train", "--recipe", "float_resnet", "--data", image_folder, "--epochs", "1",
        "model.kwargs={width: 4, blocks: [1]}", "data.mean=[0.5]", "data.std=[0.2]", "--out", "o",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    whole = qat_json("eval", "--checkpoint", "o/checkpoints/best.pt")
    other = qat_json(
        "eval", "--checkpoint", "o/checkpoints/best.pt", "--data", image_folder / "test"
    )
    assert other["recorded"] is None
    assert other["images"] < whole["images"]  # a fifth of the folder, as it was split


def test_a_lone_test_folder_is_measured_whole_and_matched_by_class_name(
    qat, qat_json, image_folder, write_images, tmp_path
):
    run = qat(
        "train", "--recipe", "float_resnet", "--data", image_folder, "--epochs", "1",
        "model.kwargs={width: 4, blocks: [1]}", "--out", "o",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    checkpoint = "o/checkpoints/best.pt"
    write_images(tmp_path / "cats" / "test", 5, classes=("cat",))
    assert qat_json("eval", "--checkpoint", checkpoint, "--data", "cats")["images"] == 5
    write_images(tmp_path / "dogs" / "test", 5, classes=("dog",))
    refused = qat("eval", "--checkpoint", checkpoint, "--data", "dogs")
    assert refused.exit_code == 2 and "not trained on: dog" in refused.stderr


def test_float_weights_are_measured_on_a_model_by_name(qat, qat_json, image_folder, tmp_path):
    model = build_model(ModelConfig(name="resnet20"), (3, 8, 8), 3, allow_user_code=False)
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 7}, tmp_path / "w.th")
    arguments = ["eval", "--model", "resnet20", "--weights", "w.th", "--data", image_folder]
    measured = qat_json(*arguments)
    assert measured["images"] == 12 and measured["recorded"] is None
    text = qat(*arguments, "--batch-size", "5").stdout
    assert f"top-1  {measured['top1']:.2f} %" in text


def test_the_weights_of_a_quantized_model_are_pointed_to_checkpoint(qat, trained):
    checkpoint, _ = trained
    result = qat(
        "eval", "--model", "resnet_small", "--weights", checkpoint, "--data", "digits"
    )  # fmt: skip
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model, --weights, --data missing"),
        (["--model", "resnet20", "--data", "digits"], "--weights missing"),
        (["--checkpoint", "a.pt", "--weights", "b.pt"], "not both"),
        (
            ["--checkpoint", "a.pt", "--batch-size", "0"],
            "--batch-size 0: train.eval_batch_size: must be greater than 0",
        ),
    ],
)
def test_what_is_missing_is_said(qat, arguments, message):
    result = qat("eval", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
