"""``qat recipes``."""

import json

import pytest
from typer.testing import CliRunner

from qat_cli.commands.recipes import app, summarize_quantization
from qat_cli.errors import UserError
from qat_cli.recipes import load_recipe, recipe_path


def invoke(*line):
    return CliRunner().invoke(app, list(line), catch_exceptions=False)


def test_list_shows_each_recipe_with_what_it_quantizes():
    result = invoke("list")
    assert result.exit_code == 0
    line = next(row for row in result.stdout.splitlines() if row.startswith("resnet_w4a4"))
    assert "weight 4 bit, input 8 bit, activation 4 bit, 2 rules" in line


def test_list_under_json_names_the_files():
    entries = json.loads(invoke("list", "--json").stdout)
    files = {entry["name"]: entry["file"] for entry in entries}
    assert files["float_resnet"] == str(recipe_path("float_resnet"))


def test_show_gives_the_file_with_its_comments():
    shown = invoke("show", "binary_resnet").stdout
    assert shown == recipe_path("binary_resnet").read_text(encoding="utf-8")


def test_show_with_a_change_gives_a_recipe_that_loads_as_the_changed_one(tmp_path):
    shown = invoke("show", "binary_resnet", "train.epochs=7").stdout
    path = tmp_path / "changed.yaml"
    path.write_text(shown, encoding="utf-8")
    assert load_recipe(str(path)) == load_recipe("binary_resnet", ["train.epochs=7"])


def test_show_resolved_writes_out_the_defaults():
    assert "label_smoothing: 0.0" in invoke("show", "float_resnet", "--resolved").stdout


def test_show_under_json_is_the_resolved_recipe():
    document = json.loads(invoke("show", "resnet_w4a4", "train.epochs=7", "--json").stdout)
    assert document["train"]["epochs"] == 7
    assert document["quant"]["rules"][0] == {
        "match": {"position": "first"},
        "optional": False,
        "weight": {"bit_width": 8},
    }


def test_show_refuses_an_unknown_key():
    with pytest.raises(UserError, match=r"train\.epohcs: unknown key"):
        invoke("show", "float_resnet", "train.epohcs=7")


def test_keys_lists_a_section_with_defaults_and_meaning():
    rows = json.loads(invoke("keys", "train.", "--json").stdout)
    entry = next(row for row in rows if row["key"] == "train.batch_size")
    assert entry == {
        "key": "train.batch_size",
        "default": "64",
        "description": "Images per training batch; with several processes, of each.",
    }


def test_keys_reach_into_rules():
    assert "quant.rules.N.match.position" in invoke("keys", "quant.rules").stdout


def test_keys_of_no_section_are_an_error_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'train'"):
        invoke("keys", "trian")


@pytest.mark.parametrize(
    ("overrides", "summary"),
    [
        (["quant=null"], "none (float)"),
        (
            ["quant.weight.quantizer=SignedTernaryWeightPerTensorConst", "quant.rules=[]"],
            "weight ternary, input binary",
        ),
    ],
)
def test_the_summary_says_which_roles_have_how_many_bits(overrides, summary):
    assert summarize_quantization(load_recipe("binary_resnet", overrides)) == summary
