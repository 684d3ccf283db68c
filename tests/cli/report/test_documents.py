"""The files that a run leaves."""

import csv
import json
import math

import pytest

from qat_cli.recipes import load_recipe, recipe_from_tree
from qat_cli.report import RunLog, finite, write_curves, write_metrics, write_recipe, write_summary
from qat_cli.report.history import COLUMNS
from qat_cli.terminal.console import Console

HISTORY = [{**dict.fromkeys(COLUMNS, 0.25), "epoch": epoch} for epoch in (1, 2)]


def test_metrics_have_a_row_per_epoch(tmp_path):
    write_metrics(tmp_path / "m.csv", HISTORY)
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert list(rows[0]) == list(COLUMNS)


def test_the_recipe_of_a_run_reads_back_equal(tmp_path):
    recipe = recipe_from_tree({"name": "r", "model": {"name": "resnet_small"}}, "test")
    write_recipe(tmp_path / "recipe.yaml", recipe, "train")
    assert load_recipe(str(tmp_path / "recipe.yaml")) == recipe


def test_the_recipe_of_a_users_model_says_how_to_name_it_again(tmp_path):
    recipe = recipe_from_tree({"name": "r", "model": {"name": "/x/m.py:f"}}, "test")
    write_recipe(tmp_path / "recipe.yaml", recipe, "train")
    first = (tmp_path / "recipe.yaml").read_text().splitlines()[0]
    assert first.endswith(f"qat train --recipe {tmp_path / 'recipe.yaml'} --model /x/m.py:f")


def test_numbers_that_json_lacks_become_null(tmp_path):
    write_summary(tmp_path / "s.json", {"loss": math.nan, "val": {"top1": math.inf}, "n": [1]})
    assert json.loads((tmp_path / "s.json").read_text()) == {
        "loss": None,
        "val": {"top1": None},
        "n": [1],
    }
    assert finite((1.5, "x")) == [1.5, "x"]


@pytest.mark.parametrize("epochs", [1, 2])
def test_curves_are_a_picture(tmp_path, epochs):
    write_curves(tmp_path / "c.png", HISTORY[:epochs], "title", best_epoch=1)
    assert (tmp_path / "c.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_log_keeps_what_was_said(tmp_path, capsys):
    log = RunLog(Console(json_output=True), tmp_path / "log.txt")
    log.info("hello")
    log.warn("careful")
    log.table("layers", ["name"], [["conv1"]])
    text = (tmp_path / "log.txt").read_text()
    assert "  hello\n" in text and "warning: careful" in text and "conv1" in text
    captured = capsys.readouterr()
    assert "hello" in captured.err and captured.out == ""
