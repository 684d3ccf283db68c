"""The ``quant`` section as rules for graph conversion."""

from qat.graph import LayerMatch, QuantizerChoice, Role, Rule
from qat_cli.recipes import Recipe, graph_rules

QUANT = {
    "weight": {"quantizer": "Int8WeightPerTensorFloat", "bit_width": 4},
    "activation_function": "identity",
    "rules": [
        {"match": {"position": "first"}, "weight": {"bit_width": 8}, "input": None},
        {
            "match": {"type": "Conv2d", "name": "*shortcut*"},
            "optional": True,
            "weight": {"quantizer": "Int8WeightPerChannelFloat"},
            "activation_function": "keep",
        },
    ],
}


def rules():
    recipe = Recipe.model_validate({"name": "x", "model": {"name": "m"}, "quant": QUANT})
    return graph_rules(recipe.quant)


def test_rule_zero_matches_every_layer_and_decides_every_role():
    default = rules()[0]
    assert default.match == LayerMatch(module_type=None, name=None, position=None)
    assert default.activation_function == "identity"
    assert set(default.choices) == set(Role)
    assert default.choices[Role.WEIGHT] == QuantizerChoice(
        quantizer="Int8WeightPerTensorFloat", overrides={"bit_width": 4}
    )
    assert default.choices[Role.ADD] is None


def test_a_rule_of_the_recipe_decides_only_the_roles_it_names():
    assert rules()[1] == Rule(
        label="quant.rules.0",
        match=LayerMatch(module_type=None, name=None, position="first"),
        choices={
            Role.WEIGHT: QuantizerChoice(quantizer=None, overrides={"bit_width": 8}),
            Role.INPUT: None,
        },
        activation_function=None,
        optional=False,
    )


def test_type_name_and_optional_are_handed_on():
    rule = rules()[2]
    assert rule.match == LayerMatch(module_type="Conv2d", name="*shortcut*", position=None)
    assert rule.optional
    assert rule.activation_function == "keep"
