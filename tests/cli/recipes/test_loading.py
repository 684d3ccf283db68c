"""Recipes: loaded whole, refused with all problems at once."""

import pytest

import qat.quantizers
from qat_cli.errors import UserError
from qat_cli.recipes import dump_recipe, list_recipes, load_recipe, recipe_from_tree, recipe_path
from qat_cli.recipes.overrides import Override
from qat_cli.recipes.schema.quant import SITES

EPOCHS = Override(("train", "epochs"), 3, "--epochs 3")
OTHER_DATA = Override(("data", "name"), "/images", "--data /images")
SMALL = "name: small\nmodel:\n  name: resnet_small\n"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_the_recipes_of_the_readme_ship():
    names = {"binary_resnet", "float_resnet", "resnet_w4a4", "resnet_w8a8_ptq"}
    assert names <= set(list_recipes())


@pytest.mark.parametrize("name", list_recipes())
def test_a_shipped_recipe_is_valid_and_bears_the_name_of_its_file(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description


@pytest.mark.parametrize("name", list_recipes())
def test_a_shipped_recipe_says_in_comments_what_it_needs_and_how_to_run_it(name):
    head = recipe_path(name).read_text(encoding="utf-8").split("\nname:")[0]
    for word in ("# Needs:", "# Run:", "# Change:", "# Figures:", f"--recipe {name}"):
        assert word in head


@pytest.mark.parametrize("name", list_recipes())
def test_the_override_in_the_head_of_a_shipped_recipe_works(name):
    head = recipe_path(name).read_text(encoding="utf-8")
    change = next(line for line in head.splitlines() if line.startswith("# Change:"))
    overrides = [word for word in change.split() if "=" in word]
    assert overrides
    load_recipe(name, overrides)


@pytest.mark.parametrize("name", list_recipes())
def test_a_shipped_recipe_names_only_quantizers_that_the_library_has(name):
    quant = load_recipe(name).quant
    parts = [] if quant is None else [quant, *quant.rules]
    configs = [getattr(part, site) for part in parts for site in SITES]
    named = {config.quantizer for config in configs if config is not None and config.quantizer}
    assert sorted(named - set(vars(qat.quantizers))) == []


@pytest.mark.parametrize("name", list_recipes())
def test_a_dumped_recipe_loads_as_an_equal_recipe(name, write):
    recipe = load_recipe(name, ["optimizer.lr=1e-5"])
    assert load_recipe(write(dump_recipe(recipe))) == recipe


def test_options_and_overrides_change_the_file():
    recipe = load_recipe("resnet_w4a4", ["quant.rules.0.weight.bit_width=6"], [EPOCHS])
    assert recipe.train.epochs == 3
    assert recipe.quant.rules[0].weight.overrides == {"bit_width": 6}


def test_null_makes_a_float_recipe():
    assert load_recipe("binary_resnet", ["quant=null"]).quant is None


def test_other_data_come_with_their_own_size():
    assert load_recipe("binary_resnet").data.image_size == 16
    assert load_recipe("binary_resnet", options=[OTHER_DATA]).data.image_size is None


def test_a_size_given_with_other_data_is_kept():
    recipe = load_recipe("binary_resnet", ["data.image_size=24"], [OTHER_DATA])
    assert recipe.data.image_size == 24


def test_all_problems_of_the_file_are_reported_with_line_and_nearest_key(write):
    path = write("name: x\nmodel: {nam: y}\ntrain:\n  epoch: 3\n  batch_size: -1\nfoo: 1\n")
    with pytest.raises(UserError) as caught:
        load_recipe(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"recipe {path}: 5 problems"
    assert f"  {path}:4: train.epoch: unknown key; did you mean 'train.epochs'?" in lines
    assert f"  {path}:5: train.batch_size: must be greater than 0, got -1" in lines
    assert f"  {path}:2: model.name: is missing" in lines


def test_problems_of_file_and_command_line_come_in_one_report_each_with_its_place(write):
    path = write(SMALL + "train: {epochs: 0}\n")
    with pytest.raises(UserError) as caught:
        load_recipe(path, ["train.sede=1", "nonsense"])
    text = str(caught.value)
    assert "3 problems" in text
    assert f"{path}:4: train.epochs: must be greater than 0" in text
    assert "command line, train.sede=1: train.sede: unknown key; did you mean 'train.seed'" in text
    assert "'nonsense' is not of the form KEY=VALUE" in text


def test_a_recipe_given_without_its_option_is_recognised():
    with pytest.raises(UserError, match="did you mean --recipe float_resnet"):
        load_recipe("binary_resnet", ["float_resnet"])


def test_an_unknown_recipe_names_the_nearest_and_all_others():
    with pytest.raises(UserError, match=r"(?s)did you mean 'binary_resnet'.*resnet_w4a4"):
        load_recipe("binary_resnt")


def test_resnet_may_be_left_out_of_a_name():
    named = [name for name in list_recipes() if name.startswith("resnet_")]
    assert len(named) > 4
    assert {recipe_path(name.removeprefix("resnet_")) for name in named} == set(
        map(recipe_path, named)
    )
    assert load_recipe("w2a2").name == "resnet_w2a2"
    with pytest.raises(UserError, match="did you mean 'w2a2'"):
        recipe_path("w2a22")


@pytest.mark.parametrize(("name", "says"), [("no.yaml", "not exist"), ("./", "is a folder")])
def test_a_missing_recipe_file_is_named(name, says):
    with pytest.raises(UserError, match=says):
        load_recipe(name)


def test_a_recipe_inside_something_else_is_validated_too():
    with pytest.raises(UserError, match=r"(?s)best\.pt.*train\.epohcs: unknown key"):
        recipe_from_tree(
            {"name": "x", "model": {"name": "m"}, "train": {"epohcs": 1}}, "checkpoint best.pt"
        )
