"""Export and verification of calibrated networks by command."""

import json
import os
import sys

import pytest
import torch

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def qat(tmp_path_factory):
    """Run ``qat ARGUMENTS`` in a folder with a float, a calibrated and an untried network."""
    from typer.testing import CliRunner

    from qat_cli.main import app

    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("run"))

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    float_run = ("train", "--recipe", "float_resnet", "--epochs", "1", "--out", "float")
    assert run(*float_run).exit_code == 0
    weights = ("--weights", "float/checkpoints/best.pt")
    calibrate = ("calibrate", "--recipe", "resnet_w8a8_ptq", *weights, "--out", "eight")
    assert run(*calibrate).exit_code == 0
    young = ("train", "--recipe", "resnet_w4a4", *weights, "--epochs", "1", "--out", "young")
    assert run(*young).exit_code == 0
    yield run
    os.chdir(before)


@pytest.fixture(scope="module")
def exported(qat):
    result = qat("export", "--checkpoint", "eight/checkpoints/best.pt", "--out", "eight.onnx")
    assert result.exit_code == 0, result.stderr
    return result


def verified(qat, *more):
    return qat(
        "verify", "--checkpoint", "eight/checkpoints/best.pt", "--model-file", "eight.onnx", *more
    )


def test_the_table_has_every_layer_and_the_lines_the_proof(exported):
    lines = exported.stdout.splitlines()
    rows = [line.split() for line in lines if "QLinearConv" in line or "QGemm" in line]
    assert [row[0] for row in rows] == [
        "conv1", "stages.0.0.conv1", "stages.0.0.conv2", "stages.1.0.conv1", "stages.1.0.conv2",
        "stages.1.0.shortcut.0", "stages.2.0.conv1", "stages.2.0.conv2", "stages.2.0.shortcut.0",
        "linear",
    ]  # fmt: skip
    assert "layers       10 of 10 run in integers" in lines
    assert sum("numbers, all equal" in line or "all beside a tie" in line for line in lines) == 5


def test_the_next_command_verifies_the_file(exported, qat):
    words = exported.stdout.split("next")[1].split()
    result = qat(*words[1:], "--images", "8", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0 and document["holds"] and document["images"] == 8
    assert {row["level"] for row in document["comparisons"]} == {0, 1, 2, 3}


def test_the_file_stands_in_the_run_folder_unless_told_otherwise(qat):
    assert qat("export", "--checkpoint", "eight/checkpoints/best.pt").exit_code == 0
    assert os.listdir("eight/export") == ["resnet_w8a8_ptq.onnx"]


def test_a_file_of_another_checkpoint_fails_with_exit_code_1(exported, qat):
    state = torch.load("eight/checkpoints/best.pt")
    state["weights"]["linear.bias"] += 0.5
    torch.save(state, "other.pt")
    result = qat("verify", "--checkpoint", "other.pt", "--model-file", "eight.onnx")
    assert result.exit_code == 1 and "is not the network of other.pt" in result.stderr
    assert "linear" in result.stdout.split("beside no tie")[-1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export"], "which checkpoint?"),
        (["export", "--checkpoint", "float/checkpoints/best.pt"], "is a float network"),
        (["export", "--checkpoint", "young/checkpoints/best.pt"], "is in its statistics phase"),
        (["export", "--checkpoint", "eight/checkpoints/best.pt", "--opset", "13"], "choose 21 or"),
        (["export", "--checkpoint", "none.pt"], "none.pt does not exist"),
        (["verify", "--checkpoint", "eight/checkpoints/best.pt"], "--model-file missing"),
        (
            ["verify", "--checkpoint", "eight/checkpoints/best.pt", "--model-file", "no.onnx"],
            "no.onnx does not exist",
        ),
        (
            ["verify", "--checkpoint", "eight/checkpoints/best.pt", "--model-file",
             "eight/recipe.yaml"],
            "is no ONNX file",
        ),
    ],
    ids=["nothing", "float", "young", "opset", "missing", "no file", "absent", "text"],
)  # fmt: skip
def test_bad_input_is_one_message(qat, exported, arguments, told):
    result = qat(*arguments)
    assert result.exit_code == 2 and told in " ".join(result.stderr.split())
    assert "internal error" not in result.stderr


def test_a_path_that_cannot_be_written_is_said_and_leaves_nothing(qat):
    open("file", "w").close()
    result = qat("export", "--checkpoint", "eight/checkpoints/best.pt", "--out", "file/a.onnx")
    assert result.exit_code == 1 and "cannot write file/a.onnx" in result.stderr


def test_without_the_extra_the_message_is_how_to_install_it(qat, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = qat("export", "--checkpoint", "eight/checkpoints/best.pt")
    assert result.exit_code == 2 and 'pip install "qat-cli[export]"' in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    ["binary_resnet", "cnv_1w1a", "cnv_1w2a", "cnv_2w2a", "lfc_1w1a", "mobilenet_v2_w8a8",
     "resnet18_w4a4", "resnet_w1a32", "resnet_w2a2", "resnet_w3a3", "resnet_w4a4", "resnet_w8a8",
     "sfc_1w2a", "tfc_1w1a", "tfc_1w2a", "tfc_2w2a", "vit_w8a8"],
)  # fmt: skip
def test_every_recipe_of_one_epoch_is_exported_and_proven(qat, recipe):
    steps = ("--batch-size", "8", "--epochs", "1")
    train = ("train", "--recipe", recipe, "--data", "digits", *steps, "--out", recipe)
    result = qat(*train)
    assert result.exit_code == 0, result.stderr
    result = qat("export", "--checkpoint", f"{recipe}/checkpoints/best.pt", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["holds"]
    integer = sum(each["is_integer"] for each in document["layers"])
    share = document["bytes"] / document["float_bytes"]
    print(recipe, integer, len(document["layers"]), share, document["differing_predictions"])
