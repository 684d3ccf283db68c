"""Bad input of every kind: one message, exit code 2."""

import os
import shutil

import pytest
import torch

from qat_cli.recipes.location import recipes_folder

FLOAT = ["train", "--recipe", "float_resnet", "--epochs", "1"]


class RunsCode:
    """Unpickling it would make a file named ``ran``."""

    def __reduce__(self):
        return (open, ("ran", "w"))


def refused(result, *parts):
    """The one message on standard error, after checking that the command ended as it should."""
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error:") == 1
    message = result.stderr[result.stderr.index("error:") :]
    for part in parts:
        assert part in message
    return message


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train"], ["which recipe?", "binary_resnet", "measures", "for example:"]),
        (["train", "binary_resnet"], ["Did you mean: qat train --recipe binary_resnet"]),
        (["train", "--recipe", "float_resnet.yaml"], ["the recipe that ships is called float_"]),
        ([*FLOAT, "--device", "gpu"], ["train.device: 'gpu' is not one of: auto", "cuda:N"]),
        (["train", "--recipe", "binary_resnt"], ["did you mean 'binary_resnet'"]),
        (["train", "--recipe", "gone.yaml"], ["gone.yaml does not exist"]),
        ([*FLOAT, "train.epoch=3"], ["train.epoch", "did you mean 'train.epochs'"]),
        ([*FLOAT, "optimizer.lr=fast", "train.seed=-1"], ["optimizer.lr", "train.seed"]),
        ([*FLOAT, "--model", "resnet_smal"], ["did you mean 'resnet_small'"]),
        ([*FLOAT, "--model", "gone.py:net"], ["gone.py does not exist"]),
        ([*FLOAT, "--data", "digts"], ["did you mean 'digits'"]),
        ([*FLOAT, "--data", "./gone"], ["gone: No such file or directory"]),
        ([*FLOAT, "--device", "cuda:99"], ["device 'cuda:99' is not there"]),
        ([*FLOAT, "--weights", "gone.pt"], ["gone.pt does not exist"]),
        ([*FLOAT, "--resume"], ["no run of 'float_resnet'"]),
        (["eval", "--checkpoint", "gone.pt"], ["gone.pt does not exist"]),
        (["inspect", "--checkpoint", "gone.pt"], ["gone.pt does not exist"]),
    ],
    ids=lambda value: " ".join(value[-1:]) if isinstance(value, list) else None,
)
def test_what_does_not_exist_is_named(qat, arguments, parts):
    refused(qat(*arguments), *parts)


RECIPE = ["--recipe", "resnet_w8a8_ptq", "--weights", "gone.pt"]
DEVICE = "train.device: 'gpu' is not one of: auto (a GPU if there is one), cpu, mps, cuda or cuda:N"


@pytest.mark.parametrize(
    ("arguments", "option", "problem"),
    [
        (["train", *RECIPE], "--device gpu", DEVICE),
        (["train", *RECIPE], "--lr 0.0", "optimizer.lr: must be greater than 0, got 0.0"),
        (["calibrate", *RECIPE], "--device gpu", DEVICE),
        (["calibrate", *RECIPE], "--images 0", "calibrate.images: must be greater than 0, got 0"),
        (["eval", "--checkpoint", "gone.pt"], "--device gpu", DEVICE),
        (["eval", "--checkpoint", "gone.pt"], "--batch-size 0", "must be greater than 0, got 0"),
        (["eval", "--model", "m", "--weights", "w", "--data", "d"], "--device gpu", DEVICE),
        (["inspect", *RECIPE], "train.device=gpu", DEVICE),
        (["inspect", *RECIPE], "model.kwargs=3", "model.kwargs: must be a mapping of keys, got 3"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_value_that_a_key_cannot_have_is_refused_by_every_command(
    qat, arguments, option, problem
):
    words = option.split(" ")
    message = refused(qat(*arguments, *words), "1 problem", f"command line, {option}: ", problem)
    named = "qat eval" if arguments[0] == "eval" else "recipe resnet_w8a8_ptq"
    assert message.startswith(f"error: {named}: 1 problem")


def test_a_rule_that_matches_no_layer_is_an_error(qat):
    rule = "quant.rules=[{match: {name: '*nowhere*'}, weight: null}]"
    refused(qat("train", "--recipe", "resnet_w4a4", rule), "nowhere", "quant.rules.0")


def test_an_empty_folder(qat, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(qat(*FLOAT, "--data", tmp_path / "empty"), "empty is empty", "<class>/<image>")


def test_a_class_without_images(qat, image_folder):
    (image_folder / "train" / "dog").mkdir()
    refused(qat(*FLOAT, "--data", image_folder), "has no images for class 'dog'")


def test_one_class(qat, tmp_path, write_images):
    write_images(tmp_path / "one", 4, classes=("only",))
    refused(qat(*FLOAT, "--data", tmp_path / "one"), "one class only ('only')")


def test_a_file_that_is_no_image(qat, image_folder):
    (image_folder / "train" / "ant" / "notes.txt").write_text("not an image")
    refused(qat(*FLOAT, "--data", image_folder), "notes.txt", "is not an image")


def test_images_of_different_sizes(qat, image_folder, write_images, tmp_path):
    write_images(tmp_path / "large", 1, size=9)
    shutil.copy(tmp_path / "large" / "bee" / "000.png", image_folder / "train" / "bee" / "x.png")
    refused(qat(*FLOAT, "--data", image_folder), "x.png", "9x9 pixels, not 8x8", "data.image_size")


def test_weights_with_other_shapes_are_listed_by_name_and_shape(qat, tmp_path):
    torch.save({"conv1.weight": torch.zeros(7, 1, 3, 3)}, tmp_path / "other.pt")
    refused(
        qat(*FLOAT, "--weights", "other.pt"),
        "other.pt does not fit the model",
        "conv1.weight: 7x1x3x3 in the file",
        "missing from the file",
        "linear.bias 10",
        "Are they of another model? Then name that one with --model.",
    )


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_truncated_checkpoint(qat, tmp_path, command):
    torch.save({"weights": torch.zeros(1000)}, tmp_path / "cut.pt")
    content = (tmp_path / "cut.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    arguments = [*FLOAT, "--weights"] if command == "train" else ["eval", "--checkpoint"]
    refused(qat(*arguments, "cut.pt"), "cut.pt is truncated or damaged")


def test_a_foreign_file_as_checkpoint(qat, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" * 100)
    refused(qat("eval", "--checkpoint", "photo.jpg"), "photo.jpg is not a checkpoint")


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_pickle_that_would_run_code(qat, tmp_path, command):
    torch.save({"state_dict": RunsCode()}, tmp_path / "evil.pt")
    arguments = [*FLOAT, "--weights"] if command == "train" else ["eval", "--checkpoint"]
    refused(qat(*arguments, "evil.pt"), "evil.pt holds more than tensors", "would run code")
    assert not (tmp_path / "ran").exists()


def test_a_model_with_too_few_outputs(qat, image_folder):
    refused(
        qat(*FLOAT, "--data", image_folder, "model.kwargs={num_classes: 2}"),
        "has 2 outputs but the data has 3 classes",
    )


def test_an_output_folder_with_another_run(qat, tiny_recipe):
    assert qat("train", "--recipe", tiny_recipe, "--epochs", "1", "--out", "out").exit_code == 0
    refused(qat("train", "--recipe", tiny_recipe, "--out", "out"), "--resume --out out")


@pytest.fixture
def locked(tmp_path):
    """A folder named ``locked`` in which nothing can be made."""
    (tmp_path / "locked").mkdir(mode=0o500)


@pytest.fixture
def ordinary_user():
    """The superuser may write everywhere, so be somebody else for the length of the test."""
    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no POSIX permissions")
    before = os.geteuid()
    if before != 0:
        yield
        return
    os.seteuid(65534)
    try:
        if not os.access(recipes_folder(), os.R_OK, effective_ids=True):
            pytest.skip("run as the superuser in a folder that nobody else can read")
        yield
    finally:
        os.seteuid(before)


def test_no_permission_to_write(qat, locked, ordinary_user):
    refused(qat(*FLOAT, "--out", "locked/run"), "cannot write in locked/run: Permission denied")


def test_an_output_folder_below_a_file(qat, tmp_path):
    (tmp_path / "file").write_text("")
    refused(qat(*FLOAT, "--out", "file/run"), "cannot write in file/run: Not a directory")
