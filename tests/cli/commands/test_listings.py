"""The commands that list and explain."""

import json

import pytest

from qat_cli.data.registry import SOURCES
from qat_cli.models import BUILT_IN, torchvision_names
from qat_cli.recipes import recipe_path
from qat_cli.recipes.explain import explain_key
from qat_cli.recipes.keys import known_keys


def test_copy_keeps_the_comments(qat, tmp_path):
    assert qat("recipes", "copy", "resnet_w4a4", "mine.yaml").exit_code == 0
    assert (tmp_path / "mine.yaml").read_text() == recipe_path("resnet_w4a4").read_text()


def test_copy_overwrites_only_when_forced(qat, tmp_path):
    (tmp_path / "float_resnet.yaml").write_text("mine")
    refused = qat("recipes", "copy", "float_resnet")
    assert refused.exit_code == 2 and "--force" in refused.stderr
    assert (tmp_path / "float_resnet.yaml").read_text() == "mine"
    assert qat("recipes", "copy", "float_resnet", "--force").exit_code == 0


def test_validate_reports_all_problems_of_all_files(qat, tmp_path):
    (tmp_path / "a.yaml").write_text("name: a\nmodel: {nme: x}\ntrain: {epochs: 0}\n")
    (tmp_path / "b.yaml").write_text("name: [\n")
    result = qat("recipes", "validate", "a.yaml", "b.yaml", "no.yaml", "float_resnet", "--json")
    entries = {entry["file"]: entry for entry in json.loads(result.stdout)}
    assert result.exit_code == 2
    assert len(entries["a.yaml"]["problems"]) == 3
    assert entries["b.yaml"]["problems"] and entries["no.yaml"]["problems"]
    assert entries["float_resnet"]["valid"]


def test_validate_of_valid_files_exits_with_0(qat):
    assert qat("recipes", "validate", "float_resnet").exit_code == 0


def test_diff_names_only_what_differs(qat_json, tmp_path):
    (tmp_path / "m.yaml").write_text("extends: resnet_w4a4\nquant: {weight: {bit_width: 2}}\n")
    found = qat_json("recipes", "diff", "resnet_w4a4", "m.yaml")["differences"]
    assert found == [{"key": "quant.weight.bit_width", "a": 4, "b": 2}]


def test_diff_of_a_recipe_with_itself_is_empty(qat):
    assert qat("recipes", "diff", "float_resnet", "float_resnet").stdout == "no difference\n"


def test_the_schema_describes_fields_and_knows_extends(qat):
    schema = json.loads(qat("recipes", "schema").stdout)
    assert "extends" in schema["properties"] and "required" not in schema
    assert schema["$defs"]["TrainConfig"]["properties"]["epochs"]["description"]


def test_every_key_is_explained():
    assert [entry.key for entry in known_keys() if not explain_key(entry.key).meaning] == []


def test_explain_gives_default_choices_bounds_and_option(qat_json):
    assert qat_json("explain", "optimizer.name")["choices"] == ["sgd", "adam", "adamw"]
    found = qat_json("explain", "train.epochs")
    assert (found["default"], found["bounds"]) == ("10", ["> 0"])
    assert "--epochs" in found["set_with"]


def test_explain_of_a_section_lists_its_keys(qat):
    assert "train.batch_size" in qat("explain", "train").stdout


def test_explain_knows_attributes_of_quantizers(qat_json):
    assert "quant.weight.quantizer" in qat_json("explain", "quant.weight.bit_width")["meaning"]


@pytest.mark.parametrize("key", ["train.epohcs", "train.epochs.x", "", "quant.rules.x"])
def test_explain_of_an_unknown_key_is_refused(qat, key):
    result = qat("explain", key)
    assert result.exit_code == 2 and "no key" in result.stderr


def test_explain_suggests_the_nearest_key(qat):
    assert "did you mean 'train.epochs'" in qat("explain", "train.epohcs").stderr


def test_models_lists_every_model(qat_json):
    found = {entry["name"]: entry for entry in qat_json("models")}
    assert set(found) == {*BUILT_IN, *torchvision_names()}
    assert found["resnet18"]["parameters"] == 11_689_512
    assert found["resnet18"]["image_size"] == 224


def test_models_without_a_match_is_refused(qat):
    assert qat("models", "nothing_like_it").exit_code == 2


def test_datasets_lists_every_source_and_where_it_is_kept(qat_json, monkeypatch, tmp_path):
    monkeypatch.setenv("QAT_DATA_DIR", str(tmp_path))
    found = {entry["name"]: entry for entry in qat_json("datasets")}
    assert set(found) == {*SOURCES, "FOLDER"}
    assert found["cifar10"]["kept_in"] == str(tmp_path)
