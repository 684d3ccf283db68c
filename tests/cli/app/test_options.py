"""The table of options, and the changes of a recipe from it."""

import pytest

from qat_cli.app.given import Given
from qat_cli.app.options import OPTIONS, flags_of, heading_of, headings, rows_of
from qat_cli.recipes.keys import known_keys

KEYED = [row for row in OPTIONS if row.key is not None]


def given(command, **values):
    return Given(command, {**{row.name: None for row in rows_of(command)}, **values})


@pytest.mark.parametrize("row", KEYED, ids=lambda row: f"{row.commands[0]} {row.flag}")
def test_every_key_of_the_table_is_one_of_a_recipe(row):
    assert row.key in [known.key for known in known_keys()]


def test_no_command_has_a_flag_twice():
    for command in ("train", "calibrate", "eval", "inspect"):
        names = [row.name for row in rows_of(command)]
        assert len(names) == len(set(names)) > 6


def test_options_that_were_not_given_change_nothing():
    options = given("train", epochs=3, batch_size=8, compile=False, auto_batch=True).options
    assert [(o.key, o.value, o.text) for o in options] == [
        ("train.epochs", 3, "--epochs 3"),
        ("train.batch_size", 8, "--batch-size 8"),
        ("train.auto_batch", True, "--auto-batch"),
    ]


def test_one_flag_sets_the_key_of_its_command():
    assert [o.key for o in given("eval", batch_size=8).options] == ["train.eval_batch_size"]
    assert flags_of("train.eval_batch_size") == flags_of("train.batch_size") == ["--batch-size"]


def test_zero_and_an_empty_text_are_given():
    assert [o.value for o in given("train", seed=0, weights="").options] == ["", 0]


@pytest.mark.parametrize(
    ("values", "model", "teacher"),
    [
        ({}, False, False),
        ({"model": "m.py:f"}, True, False),
        ({"overrides": ["model.name=m.py:f"]}, True, False),
        ({"overrides": ["model.kwargs={}", "distill.weight=1"]}, False, False),
        ({"overrides": ["distill.model=m.py:f"]}, False, True),
        ({"overrides": ["model={name: m.py:f}", "distill={model: m.py:f}"]}, True, True),
    ],
)
def test_code_of_ones_own_runs_only_where_the_line_names_it(values, model, teacher):
    line = given("train", **values)
    assert (line.names_model, line.names_teacher) == (model, teacher)


def test_a_heading_is_that_of_the_row():
    assert heading_of("train", "lr") == "Training"
    assert heading_of("eval", "lr") == heading_of("train", "json") == ""
    assert headings()[0] == "Recipe, model and data"
