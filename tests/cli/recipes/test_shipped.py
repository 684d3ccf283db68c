"""Every recipe that ships, on a few of the digits."""

import csv
import math
import types

import pytest
import sklearn.datasets

from qat_cli.recipes import list_recipes, load_recipe
from qat_cli.recipes.comparison import differences

#: Recipes that differ in numbers and in the size of the model from one that is trained here.
LIKE = {
    **{
        f"{model}_{bits}": f"tfc_{bits}"
        for model in ("sfc", "lfc")
        for bits in ("1w1a", "1w2a", "2w2a")
    },
    "resnet_w3a3": "resnet_w4a4",
    "resnet18_w4a4": "resnet_w4a4",
}
NUMBERS = {
    "name",
    "description",
    "model.name",
    "data.image_size",
    "optimizer.lr",
    "train.epochs",
    "train.batch_size",
    "quant.weight.bit_width",
    "quant.activation.bit_width",
}


@pytest.fixture
def few_digits(monkeypatch):
    """Ten images of each digit: seven to train, one to choose by, two to test."""
    everything = sklearn.datasets.load_digits()
    few = types.SimpleNamespace(images=everything.images[:100], target=everything.target[:100])
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: few)


@pytest.mark.parametrize("name", LIKE)
def test_a_recipe_like_another_differs_in_numbers_and_can_be_converted(name):
    other = load_recipe(LIKE[name])
    assert {found["key"] for found in differences(load_recipe(name), other)} <= NUMBERS
    assert any(row.weight != "float" for row in layers_of(name))


@pytest.mark.parametrize("name", [name for name in list_recipes() if name not in LIKE])
def test_a_shipped_recipe_trains_and_its_checkpoint_gives_the_same_figure(
    name, few_digits, qat, qat_json, tmp_path
):
    trained = qat_json("train", "--recipe", name, "--epochs", 1, "--batch-size", 24, "--out", "o")
    rows = list(csv.DictReader((tmp_path / "o" / "metrics.csv").read_text().splitlines()))
    losses = [float(value) for row in rows for key, value in row.items() if "loss" in key]
    assert losses and all(map(math.isfinite, losses))
    measured = qat_json("eval", "--checkpoint", "o/checkpoints/best.pt")
    assert measured["top1"] == trained["test"]["top1"]
    assert measured["loss"] == pytest.approx(trained["test"]["loss"])


def test_a_convolutional_network_of_bnn_pynq_takes_a_folder_of_small_images(qat, image_folder):
    arguments = ("--epochs", 1, "--data", image_folder, "--out", "o")
    run = qat("train", "--recipe", "cnv_1w1a", *arguments)
    assert run.exit_code == 0, run.stderr
    assert "images are scaled to 32x32 pixels" in run.stderr
    assert load_recipe("o/recipe.yaml").data.image_size == 32


def test_a_fully_connected_network_of_bnn_pynq_takes_a_folder_at_its_own_size(qat, image_folder):
    run = qat("train", "--recipe", "tfc_1w2a", "--epochs", 1, "--data", image_folder, "--out", "o")
    assert run.exit_code == 0, run.stderr
    data = load_recipe("o/recipe.yaml").data
    assert (data.image_size, data.channels) == (8, 3)


@pytest.mark.parametrize(
    ("recipe", "layer", "columns"),
    [
        ("tfc_1w1a", "input_act", ("-", "-", "1 bit SignedBinaryActPerTensorConst")),
        ("tfc_2w2a", "classifier.0", ("2 bit SignedTernaryWeightPerTensorConst", "-", "-")),
        (
            "cnv_1w2a",
            "features.0",
            ("1 bit SignedBinaryWeightPerTensorConst", "8 bit Int8ActPerTensorFixedPoint", "-"),
        ),
        ("cnv_2w2a", "hidden.1.2", ("-", "-", "2 bit SignedTernaryActPerTensorConst")),
    ],
)
def test_first_and_last_layers_and_images_have_the_bits_of_the_published_networks(
    recipe, layer, columns
):
    rows = {row.name: row for row in layers_of(recipe)}
    row = rows[layer]
    assert (row.weight, row.input, row.activation) == columns


@pytest.mark.parametrize("recipe", ["mobilenet_v2_w8a8", "vit_w8a8", "resnet_w8a8"])
def test_no_product_of_an_8_bit_recipe_has_an_operand_in_float(recipe):
    rows = layers_of(recipe)
    assert not [row.name for row in rows if row.weight == "float" or "input in float" in row.note]
    assert all(
        "float" not in row.activation for row in rows if not row.activation.startswith("8 bit")
    )
    if recipe != "vit_w8a8":  # which says that additions between blocks stay float
        assert not [row.name for row in rows if row.kind == "add"]


def layers_of(name):
    """The rows of the table of layers, on digits of the recipe's size."""
    import torch

    from qat.graph import quantize_model
    from qat_cli.models import build_model, first_conv_channels
    from qat_cli.recipes import graph_rules

    recipe = load_recipe(name)
    size = recipe.data.image_size
    model = build_model(recipe.model, (1, size, size), 10, allow_user_code=False)
    example = torch.zeros(2, first_conv_channels(model) or 1, size, size)
    return quantize_model(model, graph_rules(recipe.quant), example).layers
