"""Completion: the names that exist, without importing torch."""

import os
import subprocess
import sys

import pytest

from qat_cli.app.completion import (
    complete_data,
    complete_key,
    complete_model,
    complete_recipe,
)
from qat_cli.data.registry import SOURCES
from qat_cli.models import BUILT_IN, torchvision_names
from qat_cli.models.names import TORCHVISION
from qat_cli.recipes import list_recipes, load_recipe
from qat_cli.recipes.keys import known_keys


def test_models_are_those_that_can_be_built():
    assert sorted(torchvision_names()) == TORCHVISION
    assert {name for name, _ in complete_model("")} == {*BUILT_IN, *torchvision_names()}


def test_datasets_are_those_that_can_be_loaded():
    assert {name for name, _ in complete_data("")} == set(SOURCES)


def test_a_folder_that_begins_like_a_dataset_is_offered_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar_mine").mkdir()
    (tmp_path / "cifar.txt").touch()
    offered = [name for name, _ in complete_data("cifar")]
    assert set(offered) == {"cifar10", "cifar100", "cifar_mine/"}


def test_recipes_are_those_that_ship_with_their_descriptions():
    offered = dict(complete_recipe(""))
    assert set(offered) == set(list_recipes())
    for name, text in offered.items():
        assert text == load_recipe(name).description


def test_keys_are_those_of_the_schema():
    assert [key for key, _ in complete_key("")] == [entry.key for entry in known_keys()]


def test_only_what_begins_as_typed_is_offered():
    assert {name for name, _ in complete_model("resnet1")} == {"resnet18", "resnet101", "resnet152"}
    assert list(complete_model("./my")) == []  # so the shell offers files


def completed(line, shell="bash"):
    """What ``shell`` gets for a line with the cursor at its end, and whether torch was imported."""
    words = line.split(" ")
    code = (
        "import atexit, sys; from qat_cli.main import run\n"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); run()"
    )
    variables = {"_QAT_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line}
    variables |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **variables},
    )
    assert result.stderr.strip() == "False", result.stderr
    return result.stdout.split("\n")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("qat tra", "train"),
        ("qat train --rec", "--recipe"),
        ("qat train --recipe bin", "binary_resnet"),
        ("qat eval --model resnet5", "resnet50"),
        ("qat calibrate --data fash", "fashion_mnist"),
        ("qat recipes show float_r", "float_resnet"),
        ("qat explain train.batch", "train.batch_size"),
    ],
)
def test_the_shell_is_answered_without_importing_torch(line, offered):
    assert completed(line)[0] == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(shell):
    result = subprocess.run(
        [sys.executable, "-m", "qat_cli.main", "--show-completion", shell],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert f"complete_{shell}" in result.stdout
