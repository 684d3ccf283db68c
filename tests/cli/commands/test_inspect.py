"""``qat inspect``: the layers of checkpoints and recipes."""

import pytest
import torch

QUANTIZED = (
    "quant={weight: {quantizer: SignedBinaryWeightPerTensorConst}, "
    "activation: {quantizer: Uint8ActPerTensorFloat, bit_width: 2}, "
    "rules: [{match: {position: first}, weight: null}]}"
)


@pytest.fixture
def checkpoint(qat, tiny_recipe):
    result = qat("train", "--recipe", tiny_recipe, QUANTIZED, "--epochs", "1", "--out", "out")
    assert result.exit_code == 0, result.stderr
    return "out/checkpoints/best.pt"


def test_a_checkpoint_is_shown_layer_by_layer_without_its_data(
    qat, qat_json, checkpoint, monkeypatch
):
    from qat_cli.engine.setup import experiment

    monkeypatch.setattr(experiment, "load_data", lambda config: pytest.fail("data was loaded"))
    found = qat_json("inspect", "--checkpoint", checkpoint)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert found["input_shape"] == [1, 8, 8]
    assert (layers["conv1"]["weight_bits"], layers["conv1"]["input_bits"]) == (32, 32)
    second = layers["stages.0.0.conv1"]
    assert (second["weight_bits"], second["input_bits"]) == (1, 2)
    assert second["packed_bytes"] == (4 * 4 * 9 + 32) / 8
    assert second["scales"] == {"count": 1, "low": pytest.approx(0.1), "high": pytest.approx(0.1)}
    shown = qat("inspect", "--checkpoint", checkpoint)
    assert shown.exit_code == 0 and "1 x 2" in shown.stdout and "scales" in shown.stdout


def test_scales_are_those_of_the_weights_in_the_checkpoint(qat, qat_json, tiny_recipe, tmp_path):
    quant = "quant={weight: {quantizer: Int8WeightPerTensorFloat}}"
    trained = qat("train", "--recipe", tiny_recipe, quant, "--epochs", "1", "--out", "int8")
    assert trained.exit_code == 0, trained.stderr
    document = torch.load(tmp_path / "int8" / "checkpoints" / "best.pt", weights_only=True)
    weight = document["weights"]["conv1.weight"]
    found = qat_json("inspect", "--checkpoint", "int8/checkpoints/best.pt")
    first = next(layer for layer in found["layers"] if layer["name"] == "conv1")
    assert first["scales"]["low"] == first["scales"]["high"]
    assert first["scales"]["low"] == pytest.approx(float(weight.abs().max()) / 127)


def test_a_recipe_is_shown_as_its_dry_run_counts_it(qat_json, tiny_recipe):
    inspected = qat_json("inspect", "--recipe", tiny_recipe, QUANTIZED)
    dry = qat_json("train", "--recipe", tiny_recipe, QUANTIZED, "--dry-run")
    for key in ("parameters", "macs", "bit_operations", "packed_bytes", "compression"):
        assert inspected[key] == dry[key]


def test_a_model_of_ones_own_is_named_again(qat, tmp_path, tiny_recipe):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    trained = qat(
        "train", "--recipe", tiny_recipe, "--model", "mine.py:net", "--epochs", "1", "--out", "own"
    )
    assert trained.exit_code == 0, trained.stderr
    refused = qat("inspect", "--checkpoint", "own/checkpoints/best.pt")
    assert refused.exit_code == 2 and "--model" in refused.stderr
    shown = qat("inspect", "--checkpoint", "own/checkpoints/best.pt", "--model", "mine.py:net")
    assert shown.exit_code == 0 and "MACs         640 per image" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--checkpoint FILE, or --recipe"),
        (["--checkpoint", "a.pt", "--recipe", "float_resnet"], "--recipe out"),
        (["--checkpoint", "a.pt", "--data", "digits"], "--data out"),
        (["--checkpoint", "a.pt", "train.epochs=1"], "KEY=VALUE out"),
        (["--checkpoint", "missing.pt"], "missing.pt"),
    ],
)
def test_what_is_wrong_on_the_line_is_said(qat, arguments, message):
    result = qat("inspect", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
