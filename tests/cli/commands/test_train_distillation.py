"""``qat train`` with ``distill``: which model teaches, and what it may be."""

import pytest
import torch

DISTILL = ("distill.weight=0.5", "distill.temperature=4")


@pytest.fixture
def teacher(float_weights):
    """The checkpoint of a float model, trained with the tiny recipe."""
    return float_weights


@pytest.fixture
def own_model(tmp_path):
    """A model in the user's own file."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(num_classes, more=0):\n"
        "    return nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Dropout(),\n"
        "                         nn.Linear(18, num_classes + more))\n"
    )
    return "mine.py:net"


def test_the_start_weights_teach_and_do_not_get_into_the_checkpoint(
    qat, tiny_recipe, teacher, tmp_path
):
    base = ["train", "--recipe", tiny_recipe, "--epochs", "1", "--weights", teacher]
    taught = qat(*base, *DISTILL, "--out", "taught")
    assert taught.exit_code == 0, taught.stderr
    assert "teacher: model resnet_small, weights" in taught.stderr
    assert "it has 0.5 of the loss, at temperature 4" in taught.stderr
    qat(*base, "--out", "alone")
    first, second = (
        torch.load(tmp_path / run / "checkpoints" / "last.pt", weights_only=True)["weights"]
        for run in ("taught", "alone")
    )
    assert list(first) == list(second)
    assert not torch.equal(first["linear.weight"], second["linear.weight"])
    measured = qat("eval", "--checkpoint", "taught/checkpoints/best.pt")
    assert "exactly the figures recorded" in measured.stdout


def test_a_student_of_itself_has_no_loss_to_lower(qat, tiny_recipe, teacher, tmp_path):
    # In evaluation mode the two are one; batch statistics of training make the only difference.
    result = qat(
        "train", "--recipe", tiny_recipe, "--epochs", "1", "--weights", teacher, "--out", "out",
        "distill.weight=1", "--lr", "1e-9", "data.augment.crop_padding=0",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    header, row = (tmp_path / "out" / "metrics.csv").read_text().splitlines()
    figures = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
    assert 0 < figures["train_loss"] < 0.2 < figures["val_loss"]


def test_a_resumed_student_has_the_same_teacher(
    ends_as_if_never_stopped, tiny_recipe, four_bits, teacher
):
    arguments = ["--recipe", tiny_recipe, four_bits, "--weights", teacher, *DISTILL]
    ends_as_if_never_stopped(arguments, step=8)


def test_the_code_of_a_teacher_of_ones_own_runs_only_when_it_is_named(
    qat, tiny_recipe, own_model, ends_as_if_never_stopped
):
    base = ["--recipe", tiny_recipe, "--epochs", "1"]
    trained = qat("train", *base, "--model", own_model, "--out", "own")
    assert trained.exit_code == 0, trained.stderr
    weights = "distill.weights=own/checkpoints/best.pt"
    named = f"distill.model={own_model}"
    # Dropout is in the teacher: in evaluation mode it draws nothing, and building it changes no
    # number that the training draws.
    ends_as_if_never_stopped([*base, named, weights, *DISTILL], step=2, resume_with=[named])
    refused = qat("train", "--recipe", "whole/recipe.yaml", "--out", "refused")
    assert refused.exit_code == 2
    assert "the teacher is code of your own" in refused.stderr
    assert "add distill.model=" in refused.stderr


def test_the_command_that_resumes_names_the_teachers_code(
    qat, tiny_recipe, own_model, stop_at_step
):
    qat("train", "--recipe", tiny_recipe, "--epochs", "1", "--model", own_model, "--out", "own")
    stop_at_step(1, 2)
    stopped = qat(
        "train", "--recipe", tiny_recipe, f"distill.model={own_model}", *DISTILL, "--out", "out",
        "distill.weights=own/checkpoints/best.pt",
    )  # fmt: skip
    assert stopped.exit_code == 130
    assert "qat train --resume --out out distill.model=/" in stopped.stderr


def test_a_teacher_without_weights_is_refused_before_anything_is_loaded(
    qat, tiny_recipe, own_model, tmp_path
):
    result = qat("train", "--recipe", tiny_recipe, *DISTILL)
    assert result.exit_code == 2
    assert "has no weights: give the trained float model with --weights FILE" in result.stderr
    result = qat("train", "--recipe", tiny_recipe, *DISTILL, f"distill.model={own_model}")
    assert result.exit_code == 2 and "set distill.weights=FILE" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_quantized_teacher_is_refused(qat, tiny_recipe, four_bits, teacher):
    base = ["train", "--recipe", tiny_recipe, four_bits, "--epochs", "1", "--weights"]
    assert qat(*base, teacher, "--out", "quantized").exit_code == 0
    result = qat(*base, "quantized/checkpoints/best.pt", *DISTILL)
    assert result.exit_code == 2
    assert "is a quantized model, and a teacher is a float one" in result.stderr


def test_a_teacher_with_other_outputs_is_refused(qat, tiny_recipe, own_model):
    own = ["train", "--recipe", tiny_recipe, "--epochs", "1", "--model", own_model]
    assert qat(*own, "model.kwargs.more=1", "--out", "eleven").exit_code == 0
    result = qat(
        "train", "--recipe", tiny_recipe, *DISTILL, f"distill.model={own_model}",
        "distill.kwargs.more=1", "distill.weights=eleven/checkpoints/best.pt",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "has 11 outputs, model resnet_small has 10" in result.stderr


def test_a_teacher_that_cannot_be_built_is_said_to_be_the_teacher(qat, tiny_recipe, teacher):
    result = qat(
        "train", "--recipe", tiny_recipe, *DISTILL, "distill.model=resnet_smal",
        f"distill.weights={teacher}",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "the teacher: " in result.stderr and "did you mean 'resnet_small'" in result.stderr


def test_a_teacher_whose_weights_changed_since_is_refused(qat, tiny_recipe, teacher, tmp_path):
    base = ["--recipe", tiny_recipe, "--epochs", "1", "--weights", teacher]
    assert qat("train", *base, *DISTILL, "--out", "out").exit_code == 0
    path = tmp_path / teacher
    document = torch.load(path, weights_only=True)
    document["weights"]["linear.bias"] += 1
    torch.save(document, path)
    result = qat("train", "--resume", "--out", "out")
    assert result.exit_code == 2
    assert "have changed since the run began" in result.stderr
