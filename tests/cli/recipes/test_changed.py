"""Changed recipes are valid ones."""

import pytest

from qat_cli.errors import UserError
from qat_cli.recipes import changed, list_recipes, load_recipe
from qat_cli.recipes.overrides import Override

DEVICE = Override(("train", "device"), "gpu", "--device gpu")


def test_the_changed_recipe_has_the_values_and_the_old_one_stays():
    recipe = load_recipe("resnet_w4a4")
    other = changed(recipe, {"train.device": "cpu", "data.image_size": 8})
    assert (other.train.device, other.data.image_size) == ("cpu", 8)
    assert recipe == load_recipe("resnet_w4a4")
    assert changed(other, recipe.model_dump()) == recipe


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_without_changes_is_equal(name):
    recipe = load_recipe(name)
    assert changed(recipe, {}) == recipe


def test_a_section_can_be_changed_alone_and_put_in_as_a_whole():
    recipe = load_recipe("float_resnet")
    data = changed(recipe.data, {"augment.cutmix": 1.0})
    assert data.augment.cutmix == 1.0
    assert changed(recipe, {"data": data}).data == data


def test_a_wrong_value_is_reported_with_its_key_and_its_option():
    with pytest.raises(UserError) as caught:
        changed(load_recipe("float_resnet"), [DEVICE, Override(("train", "seed"), -1, "--seed -1")])
    lines = str(caught.value).splitlines()
    assert lines[0] == "recipe float_resnet: 2 problems"
    assert lines[1].startswith("  command line, --seed -1: train.seed: must be greater than or")
    assert lines[2].startswith("  command line, --device gpu: train.device: 'gpu' is not one of: a")


def test_keys_of_a_section_are_reported_from_the_root():
    data = load_recipe("float_resnet").data
    with pytest.raises(UserError, match=r"data.augment: 1 problem\n  data.augment.mixup: must be"):
        changed(data.augment, {"mixup": -1})
    with pytest.raises(UserError, match=r"data: 1 problem\n  data.men: .* 'data.mean'\?"):
        changed(data, {"men": [0.5]})


def test_other_data_do_not_take_the_settings_of_made_up_images_along():
    recipe = load_recipe("float_resnet", ["data.name=fake", "data.fake={images: 100}"])
    assert changed(recipe, {"data.name": "digits"}).data.fake is None
    assert changed(recipe, {"data.name": "fake"}).data.fake.images == 100
