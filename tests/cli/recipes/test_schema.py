"""The schema of a recipe: fields, texts, refusals."""

import pytest
from pydantic import ValidationError

from qat_cli.recipes.keys import known_keys, nearest_key
from qat_cli.recipes.schema import Recipe

SMALL = {"name": "small", "model": {"name": "resnet_small"}}


def with_quant(**quant):
    return Recipe.model_validate({**SMALL, "quant": quant})


def test_every_key_has_a_description():
    assert [entry.key for entry in known_keys() if not entry.description] == []


def test_further_keys_of_a_quantizer_are_overrides():
    recipe = with_quant(weight={"quantizer": "Int8WeightPerTensorFloat", "bit_width": 4})
    assert recipe.quant.weight.quantizer == "Int8WeightPerTensorFloat"
    assert recipe.quant.weight.overrides == {"bit_width": 4}


def test_an_override_that_is_a_mapping_is_refused():
    with pytest.raises(ValidationError, match="a number, a word"):
        with_quant(weight={"quantizer": "Q", "bit_width": {"a": 1}})


def test_a_rule_tells_a_role_left_out_from_a_role_left_float():
    recipe = with_quant(rules=[{"match": {"position": "first"}, "weight": None}])
    assert recipe.quant.rules[0].sites_set == {"weight": None}


def test_a_rule_keeps_that_difference_through_a_dump():
    rule = {"match": {"name": "a*"}, "optional": True, "weight": {"bit_width": 8}, "input": None}
    recipe = with_quant(rules=[rule])
    assert recipe.model_dump()["quant"]["rules"] == [rule]
    assert Recipe.model_validate(recipe.model_dump()) == recipe


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"match": {}, "weight": None}, "at least one of type, name, position"),
        ({"match": {"name": "x"}}, "changes nothing"),
        ({"match": {"position": "middle"}, "weight": None}, "'first' or 'last'"),
    ],
    ids=["matches nothing", "changes nothing", "position"],
)
def test_a_rule_without_effect_is_refused(rule, says):
    with pytest.raises(ValidationError, match=says):
        with_quant(rules=[rule])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"mean": [0.5]}, "go together"),
        ({"mean": [0.5], "std": [0.5, 0.5]}, "mean has 1 entries, std has 2"),
        ({"mean": [0.5], "std": [0.5], "channels": 3}, "for 3 channels"),
        ({"val_fraction": 1.0}, "less than 1"),
    ],
    ids=["alone", "lengths", "channels", "fraction"],
)
def test_data_settings_that_contradict_each_other_are_refused(data, says):
    with pytest.raises(ValidationError, match=says):
        Recipe.model_validate({**SMALL, "data": data})


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices_by_name(device):
    assert Recipe.model_validate({**SMALL, "train": {"device": device}}).train.device == device


def test_an_infinite_learning_rate_is_refused():
    with pytest.raises(ValidationError, match="finite"):
        Recipe.model_validate({**SMALL, "optimizer": {"lr": float("inf")}})


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        (("train", "epoch"), "train.epochs"),
        (("epochs",), "train.epochs"),
        (("train", "lr"), "optimizer.lr"),
        (("quant", "rules", 0, "wieght"), "quant.rules.0.weight"),
        (("trian", "epochs"), "train.epochs"),
        (("qqqqq",), None),
    ],
)
def test_the_nearest_key_is_the_one_that_was_meant(wrong, meant):
    assert nearest_key(wrong) == meant
