"""Rules: the places they match, how they add up, and their errors."""

import pytest

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule, Site, UnmatchedRuleError
from qat.graph.rules import Location, decide

WEIGHT_ROLES = frozenset({Role.WEIGHT, Role.BIAS, Role.INPUT, Role.OUTPUT})
SITES = [
    Location("stem.conv", "Conv2d", WEIGHT_ROLES, is_first=True),
    Location("stem.relu", "ReLU", frozenset({Role.ACTIVATION})),
    Location("layer1.conv", "Conv2d", WEIGHT_ROLES),
    Location("layer1.add", "add", frozenset({Role.ADD})),
    Location("head", "Linear", WEIGHT_ROLES, is_last=True),
]
EIGHT, FOUR = QuantizerChoice("Eight"), QuantizerChoice("Four")


def weights(decisions):
    """Names of the sites with a weight quantizer."""
    return [name for name, decision in decisions.items() if decision.choice(Role.WEIGHT)]


def rule(choices, match=None, **kwargs):
    return Rule("quant.rules[0]", match or LayerMatch(), choices, **kwargs)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (LayerMatch(), ["stem.conv", "layer1.conv", "head"]),
        (LayerMatch("Conv2d"), ["stem.conv", "layer1.conv"]),
        (LayerMatch(name="layer*"), ["layer1.conv"]),
        (LayerMatch(name="*.con?"), ["stem.conv", "layer1.conv"]),
        (LayerMatch(name="head"), ["head"]),
        (LayerMatch(position="first"), ["stem.conv"]),
        (LayerMatch(position="last"), ["head"]),
        (LayerMatch("Conv2d", name="layer1.*"), ["layer1.conv"]),
    ],
    ids=str,
)
def test_rule_matches_where_every_condition_holds(match, expected):
    assert weights(decide([rule({Role.WEIGHT: EIGHT}, match)], SITES)) == expected


def test_name_matches_in_its_own_case_only():
    with pytest.raises(UnmatchedRuleError):
        decide([rule({Role.WEIGHT: EIGHT}, LayerMatch(name="HEAD"))], SITES)


def test_later_rule_wins_for_the_roles_that_it_names():
    first = rule({Role.WEIGHT: EIGHT, Role.INPUT: EIGHT})
    second = rule({Role.WEIGHT: FOUR}, LayerMatch(position="last"))
    decisions = decide([first, second], SITES)
    assert decisions["head"].choice(Role.WEIGHT) is FOUR
    assert decisions["head"].choice(Role.INPUT) is EIGHT
    assert decisions["layer1.conv"].choice(Role.WEIGHT) is EIGHT


def test_none_puts_a_role_back_into_float():
    decisions = decide(
        [rule({Role.WEIGHT: EIGHT}), rule({Role.WEIGHT: None}, LayerMatch("Linear"))], SITES
    )
    assert weights(decisions) == ["stem.conv", "layer1.conv"]


def test_overrides_without_a_name_are_merged_into_the_earlier_choice():
    rules = [
        rule({Role.WEIGHT: QuantizerChoice("Eight", {"bit_width": 8, "narrow_range": True})}),
        rule({Role.WEIGHT: QuantizerChoice(None, {"bit_width": 2})}, LayerMatch("Linear")),
    ]
    choice = decide(rules, SITES)["head"].choice(Role.WEIGHT)
    assert choice == QuantizerChoice("Eight", {"bit_width": 2, "narrow_range": True})


def test_a_new_name_starts_without_the_earlier_overrides():
    rules = [
        rule({Role.WEIGHT: QuantizerChoice("Eight", {"narrow_range": True})}),
        rule({Role.WEIGHT: FOUR}),
    ]
    assert decide(rules, SITES)["head"].choice(Role.WEIGHT) == FOUR


def test_overrides_of_no_quantizer_are_an_error_that_says_what_to_name():
    only = rule({Role.WEIGHT: QuantizerChoice(None, {"bit_width": 2})})
    expected = "quant.rules\\[0\\].weight changes bit_width of the weight quantizer of 'stem.conv'"
    with pytest.raises(ValueError, match=f"{expected}, which has none; name one with 'quantizer'"):
        decide([only], SITES)


def test_activation_function_is_set_where_there_is_an_activation():
    decisions = decide([rule({}, activation_function="hardtanh")], SITES)
    assert decisions["stem.relu"].activation_function == "hardtanh"


def test_activation_function_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="is 'hardtan'; choose one of 'keep', 'identity', 'hardt"):
        rule({}, activation_function="hardtan")


def test_position_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="position is 'middle'; choose 'first' or 'last'"):
        LayerMatch(position="middle")


@pytest.mark.parametrize(
    ("match", "said"),
    [
        (LayerMatch("Conv3d"), "type 'Conv3d'.* nearest are Conv2d"),
        (LayerMatch(name="layer1.conf"), "name 'layer1.conf'.* nearest are layer1.conv"),
        (LayerMatch(name="zzz"), "Layers: stem.conv, layer1.conv, head. Types: Conv2d, Linear."),
    ],
    ids=str,
)
def test_rule_that_matches_nothing_is_an_error_with_the_nearest_and_all_names(match, said):
    with pytest.raises(UnmatchedRuleError, match=f"^quant.rules\\[0\\] .*{said}"):
        decide([rule({Role.WEIGHT: EIGHT}, match)], SITES)


def test_rule_for_a_role_that_its_places_lack_matches_nothing():
    with pytest.raises(UnmatchedRuleError, match="that has activation.* Layers: stem.relu."):
        decide([rule({Role.ACTIVATION: EIGHT}, LayerMatch("Conv2d"))], SITES)


def test_long_models_are_shown_shortened():
    sites = [Location(f"conv{i}", "Conv2d", WEIGHT_ROLES) for i in range(40)]
    with pytest.raises(UnmatchedRuleError, match=r"conv5, \.\.\., conv35"):
        decide([rule({Role.WEIGHT: EIGHT}, LayerMatch("Linear"))], sites)


def test_optional_rule_may_match_nothing():
    only = rule({Role.WEIGHT: EIGHT}, LayerMatch("Conv3d"), optional=True)
    assert weights(decide([only], SITES)) == []


def test_the_older_name_of_a_site_is_kept():
    assert Role is Site


def test_grids_of_additions_are_inherited_until_a_rule_names_them():
    first = rule({Role.ADD: EIGHT}, add_grid="own")
    second = rule({Role.ADD: FOUR}, LayerMatch(name="layer1.*"))
    assert decide([first, second], SITES)["layer1.add"].add_grid == "own"
    third = rule({}, LayerMatch("add"), add_grid="shared")
    decision = decide([first, second, third], SITES)["layer1.add"]
    assert decision.add_grid == "shared" and decision.choice(Role.ADD) is FOUR
    with pytest.raises(ValueError, match="add_grid is 'none'; choose one of 'shared', 'own'"):
        rule({Role.ADD: EIGHT}, add_grid="none")


def test_model_without_any_place_is_said_to_have_nothing_to_quantize():
    with pytest.raises(UnmatchedRuleError, match="finds nothing to quantize: the model has no"):
        decide([rule({Role.WEIGHT: EIGHT})], [])
