"""Changes to a recipe from the command line."""

import pytest

from qat_cli.recipes.overrides import (
    Override,
    apply_override,
    conflicts,
    drop_what_no_longer_fits,
    parse_override,
)

EPOCHS = Override(("train", "epochs"), 3, "--epochs 3")


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("train.epochs=5", ("train", "epochs"), 5),
        ("optimizer.lr=1e-2", ("optimizer", "lr"), 0.01),
        ("quant=null", ("quant",), None),
        ("quant.rules.0.weight.bit_width=4", ("quant", "rules", 0, "weight", "bit_width"), 4),
        ("data.mean=[0.5, 0.5]", ("data", "mean"), [0.5, 0.5]),
        ("model.name=a.py:make", ("model", "name"), "a.py:make"),
        ("description=a=b", ("description",), "a=b"),
    ],
)
def test_a_key_is_a_dotted_path_and_a_value_is_yaml(text, path, value):
    override = parse_override(text)
    assert (override.path, override.value) == (path, value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train.epochs", "KEY=VALUE"),
        ("=5", "empty key"),
        ("train..epochs=5", "empty key"),
        ("data.name=[", "not YAML"),
    ],
)
def test_text_that_is_no_override_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        parse_override(text)


def test_sections_that_the_file_leaves_out_are_made():
    tree = {"quant": None}
    apply_override(tree, parse_override("quant.weight.bit_width=2"))
    assert tree == {"quant": {"weight": {"bit_width": 2}}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules.2.weight=null", "list of 2: after it comes an index, 0 to 1, not 2"),
        ("rules.first.weight=null", "not 'first'"),
        ("empty.0=1", r"set it as a whole, e\.g\. empty=\[\.\.\.\]"),
        ("name.first=1", "name is 'x' and has no key 'first'"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(text, says):
    tree = {"rules": [{}, {}], "empty": [], "name": "x"}
    with pytest.raises(ValueError, match=says):
        apply_override(tree, parse_override(text))


def test_one_key_with_two_values_is_a_conflict():
    overrides = [EPOCHS, parse_override("train.epochs=4")]
    assert conflicts(overrides) == ["train.epochs is given twice: --epochs 3 and train.epochs=4"]


def test_one_key_given_twice_alike_is_no_conflict():
    overrides = [EPOCHS, parse_override("train.epochs=3")]
    assert conflicts(overrides) == []


def test_another_model_drops_the_arguments_of_the_old_one():
    tree = {"model": {"name": "a", "kwargs": {"width": 8}, "weights": "a.pt"}}
    drop_what_no_longer_fits(tree, [Override(("model", "name"), "b", "--model b")])
    assert tree == {"model": {"name": "a"}}


def test_the_same_model_named_again_keeps_its_arguments():
    tree = {"model": {"name": "a", "kwargs": {"width": 8}}}
    drop_what_no_longer_fits(tree, [Override(("model", "name"), "a", "--model a")])
    assert tree == {"model": {"name": "a", "kwargs": {"width": 8}}}
