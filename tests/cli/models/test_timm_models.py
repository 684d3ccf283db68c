"""``timm:NAME``, with a module that stands in for timm."""

import sys
from types import ModuleType

import pytest
from torch import nn

from qat_cli.errors import UserError
from qat_cli.models import build_model, is_user_code, timm_names
from qat_cli.recipes.schema import ModelConfig


@pytest.fixture
def timm(monkeypatch):
    """``timm.create_model`` of one name, which keeps what it was called with."""
    module = ModuleType("timm")
    module.list_models = lambda: ["tinynet_a"]

    def create_model(name, num_classes, in_chans, drop_rate=0.0):
        module.called_with = (name, num_classes, in_chans, drop_rate)
        return nn.Linear(in_chans, num_classes)

    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


@pytest.fixture
def no_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)  # importing it raises ModuleNotFoundError


def build(name, **kwargs):
    config = ModelConfig(name=name, kwargs=kwargs)
    return build_model(config, (1, 8, 8), num_classes=4, allow_user_code=False)


def test_timm_builds_for_the_channels_and_classes_of_the_data(timm):
    assert build("timm:tinynet_a", drop_rate=0.5).out_features == 4
    assert timm.called_with == ("tinynet_a", 4, 1, 0.5)


@pytest.mark.parametrize("name", ["tinynet_b", "hf-hub:somebody/tinynet_a"])
def test_only_names_of_timms_table_are_built_and_nothing_is_fetched(timm, name):
    with pytest.raises(UserError, match=f"timm has no model '{name}'"):
        build(f"timm:{name}")
    assert not hasattr(timm, "called_with")


def test_an_unknown_name_gets_the_nearest(timm):
    with pytest.raises(UserError, match=r"did you mean 'tinynet_a'\?"):
        build("timm:tinynet_b")


def test_without_timm_the_error_says_how_to_install_it(no_timm):
    with pytest.raises(UserError, match="pip install timm"):
        build("timm:resnet18")


def test_a_timm_model_is_no_code_of_the_users():
    assert not is_user_code("timm:resnet18")
    assert is_user_code("timmy:resnet18")


def test_models_lists_timm_where_it_is_installed(timm, qat):
    listed = qat("models", "tinynet").stdout
    assert "timm:tinynet_a" in listed and "pip install" not in listed


def test_models_says_that_there_is_more_where_timm_is_missing(no_timm, qat):
    assert timm_names() == []
    assert "pip install timm" in qat("models", "tfc").stdout
