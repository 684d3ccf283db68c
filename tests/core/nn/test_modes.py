"""A block in another mode leaves every module in its own."""

import pytest
import torch
from torch import nn

from qat.nn import QuantLinear, QuantReLU
from qat.nn.modes import evaluating, modes_kept


@pytest.fixture
def model():
    """A model in training whose batch norm is frozen."""
    built = nn.Sequential(QuantLinear(4, 3), nn.BatchNorm1d(3), QuantReLU())
    built[1].eval()
    return built


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


def test_within_the_block_everything_evaluates_and_behind_it_nothing_has_changed(model):
    before = modes(model)
    with evaluating(model):
        assert not any(modes(model).values())
    assert modes(model) == before and not before["1"] and before["0"]


def test_modes_come_back_where_the_block_raises(model):
    before = modes(model)
    with pytest.raises(ZeroDivisionError), modes_kept(model):
        model.train()
        raise ZeroDivisionError
    assert modes(model) == before


def test_a_compiled_model_gets_its_modes_back(model, compiler):
    before = modes(model)
    compiled = torch.compile(model, backend="eager")
    with evaluating(compiled):
        assert not any(modes(model).values())
    assert modes(model) == before


def test_a_weight_quantized_in_the_block_is_not_kept_behind_it(model):
    with evaluating(model), torch.no_grad():
        model(torch.randn(2, 4))
        assert model[0].weight_quant._reuse._histories
    assert not model[0].weight_quant._reuse._histories
