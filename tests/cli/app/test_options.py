"""The table of options, and the changes of a recipe from it."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from qat_cli.app.given import with_options
from qat_cli.app.options import OPTIONS, flags_of, heading_of, headings, rows_of
from qat_cli.recipes.keys import known_keys

KEYED = [row for row in OPTIONS if row.key is not None]


@pytest.fixture
def given():
    """What a line of a command with the options of ``command`` gives; the values are as parsed."""

    def parsed(command, *line):
        found = []
        app = typer.Typer()
        app.command()(with_options(command)(found.append))
        result = CliRunner().invoke(app, line)
        assert result.exit_code == 0, result.output
        return found[0]

    return parsed


@pytest.mark.parametrize("row", KEYED, ids=lambda row: f"{row.commands[0]} {row.flag}")
def test_every_key_of_the_table_is_one_of_a_recipe(row):
    assert row.key in [known.key for known in known_keys()]


def test_no_command_has_a_flag_twice():
    for command in ("train", "calibrate", "eval", "inspect"):
        names = [row.name for row in rows_of(command)]
        assert len(names) == len(set(names)) > 6


def test_options_that_were_not_given_change_nothing(given):
    options = given("train", "--epochs", "3", "--batch-size", "8", "--auto-batch").options
    assert [(o.key, o.value, o.text) for o in options] == [
        ("train.epochs", 3, "--epochs 3"),
        ("train.batch_size", 8, "--batch-size 8"),
        ("train.auto_batch", True, "--auto-batch"),
    ]


def test_one_flag_sets_the_key_of_its_command(given):
    assert [o.key for o in given("eval", "--batch-size", "8").options] == ["train.eval_batch_size"]
    assert flags_of("train.eval_batch_size") == flags_of("train.batch_size") == ["--batch-size"]


def test_zero_and_an_empty_text_are_given(given):
    assert [o.value for o in given("train", "--seed", "0", "--weights", "").options] == ["", 0]


@pytest.mark.parametrize(
    ("line", "model", "teacher"),
    [
        ([], False, False),
        (["--model", "m.py:f"], True, False),
        (["model.name=m.py:f"], True, False),
        (["model.kwargs={}", "distill.weight=1"], False, False),
        (["distill.model=m.py:f"], False, True),
        (["model={name: m.py:f}", "distill={model: m.py:f}"], True, True),
    ],
)
def test_code_of_ones_own_runs_only_where_the_line_names_it(given, line, model, teacher):
    found = given("train", *line)
    assert (found.names_model, found.names_teacher) == (model, teacher)


def test_values_have_the_types_of_the_table_and_defaults(given):
    line = given("eval", "--checkpoint", "a.pt")
    assert line["checkpoint"] == Path("a.pt")
    assert (line["split"], line["data"], line["json"]) == ("test", None, False)
    assert given("train", "a=1", "b=2").texts == ["a=1", "b=2"]


def test_a_heading_is_that_of_the_row():
    assert heading_of("train", "lr") == "Training"
    assert heading_of("eval", "lr") == heading_of("train", "json") == ""
    assert headings()[0] == "Recipe, model and data"
