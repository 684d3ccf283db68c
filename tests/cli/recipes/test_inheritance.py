"""Recipes that extend another one."""

from pathlib import Path

import pytest

from qat_cli.errors import UserError
from qat_cli.recipes import dump_recipe, load_recipe
from qat_cli.recipes.inheritance import read_inherited


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_mappings_are_merged_and_lists_replaced(write):
    path = write("m.yaml", "extends: resnet_w4a4\nquant: {weight: {bit_width: 2}, rules: []}\n")
    recipe, base = load_recipe(path), load_recipe("resnet_w4a4")
    assert recipe.quant.weight.overrides["bit_width"] == 2
    assert recipe.quant.weight.quantizer == base.quant.weight.quantizer
    assert base.quant.rules and recipe.quant.rules == []


def test_another_quantizer_replaces_what_was_said_of_the_one_below(write):
    quant = "quant: {activation: {quantizer: LSQUnsignedAct, bit_width: 2}}"
    recipe = load_recipe(write("m.yaml", f"extends: resnet_w4a4\n{quant}\n"))
    assert recipe.quant.activation.overrides == {"bit_width": 2}
    assert recipe.quant.weight == load_recipe("resnet_w4a4").quant.weight


def test_keys_of_a_quantizer_that_was_replaced_have_no_line(write):
    write("base.yaml", "quant:\n  weight: {quantizer: LSQWeight, bit_width: 4}\n")
    top = write("m.yaml", "extends: base.yaml\nquant: {weight: {quantizer: LSQUnsignedAct}}\n")
    lines = read_inherited(Path(top)).lines
    assert ("quant", "weight", "quantizer") in lines
    assert ("quant", "weight", "bit_width") not in lines


def test_a_chain_is_followed_relative_to_each_file(write):
    write("base.yaml", "extends: float_resnet\ntrain: {epochs: 3, seed: 7}\n")
    write("sub/middle.yaml", "extends: ../base.yaml\ntrain: {epochs: 4}\n")
    recipe = load_recipe(write("top.yaml", "extends: sub/middle.yaml\nname: top\n"))
    assert (recipe.name, recipe.train.epochs, recipe.train.seed) == ("top", 4, 7)


def test_the_resolved_recipe_has_no_extends(write):
    recipe = load_recipe(write("m.yaml", "extends: float_resnet\n"))
    assert "extends" not in dump_recipe(recipe)
    assert load_recipe(write("again.yaml", dump_recipe(recipe))) == recipe


def test_a_circle_is_refused_with_its_chain(write):
    write("b.yaml", "extends: a.yaml\n")
    with pytest.raises(UserError, match=r"circle: .*a\.yaml -> .*b\.yaml -> .*a\.yaml"):
        load_recipe(write("a.yaml", "extends: b.yaml\n"))


@pytest.mark.parametrize(
    ("named", "says"),
    [("binary_resnt", "did you mean 'binary_resnet'"), ("no.yaml", "not exist"), ("3", "got 3")],
)
def test_a_base_that_is_none_is_refused_with_the_line(write, named, says):
    with pytest.raises(UserError, match=rf"(?s)m\.yaml:2: extends: .*{says}"):
        load_recipe(write("m.yaml", f"name: m\nextends: {named}\n"))


def test_a_problem_is_reported_where_it_stands(write):
    write("base.yaml", "extends: float_resnet\ntrain:\n  epochs: 0\n")
    with pytest.raises(UserError, match=r"base\.yaml:3: train\.epochs"):
        load_recipe(write("m.yaml", "extends: base.yaml\n"))


def test_extends_on_the_command_line_is_refused():
    with pytest.raises(UserError, match="stands in a recipe file"):
        load_recipe("float_resnet", ["extends=resnet_w4a4"])
    with pytest.raises(UserError, match="aliases stands in a recipe file"):
        load_recipe("float_resnet", ["aliases=[f]"])


def test_a_problem_of_a_replaced_list_is_reported_in_the_file_that_replaced_it(write):
    text = "extends: resnet_w4a4\nquant:\n  rules:\n    - weight: {bit_width: 2}\n"
    with pytest.raises(UserError, match=r"m\.yaml:4: quant\.rules\.0\.match: is missing"):
        load_recipe(write("m.yaml", text))
