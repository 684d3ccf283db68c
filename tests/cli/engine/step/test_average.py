"""The moving average of the weights."""

import pytest
import torch
from torch import nn

from qat.nn import QuantReLU
from qat_cli.engine.step.average import WeightAverage


def one_weight(value):
    model = nn.Linear(1, 1, bias=False)
    set_weight(model, value)
    return model


def set_weight(model, value):
    with torch.no_grad():
        model.weight.fill_(value)


def averaged(average, model):
    with average.in_place(model):
        return model.weight.item()


def test_the_average_follows_slowly_and_quickly_at_first():
    model, average = one_weight(0.0), WeightAverage(0.2)
    average.follow(model)
    set_weight(model, 1.0)
    average.update()  # decay (1 + 0) / (10 + 0) = 0.1
    assert averaged(average, model) == pytest.approx(0.9)
    set_weight(model, 2.0)
    average.update()  # decay 2/11
    assert averaged(average, model) == pytest.approx(2 / 11 * 0.9 + 9 / 11 * 2)
    set_weight(model, 4.0)
    average.update()  # decay 0.2, below 3/12
    third = 0.2 * (2 / 11 * 0.9 + 9 / 11 * 2) + 0.8 * 4
    assert averaged(average, model) == pytest.approx(third)
    assert model.weight.item() == 4.0


def test_the_weights_come_back_when_what_was_done_with_the_average_fails():
    model, average = one_weight(3.0), WeightAverage(0.9)
    average.follow(model)
    set_weight(model, 5.0)
    with pytest.raises(KeyError), average.in_place(model):
        raise KeyError
    assert model.weight.item() == 5.0


def test_a_parameter_of_a_new_shape_begins_as_a_copy():
    model, average = one_weight(3.0), WeightAverage(0.9)
    average.follow(model)
    model.weight = nn.Parameter(torch.tensor([[5.0, 6.0]]))
    average.follow(model)
    with average.in_place(model):
        assert model.weight.tolist() == [[5.0, 6.0]]


def test_until_a_quantizer_has_its_statistics_the_average_is_a_copy():
    model = nn.Sequential(nn.Linear(2, 2), QuantReLU(collect_stats_steps=2))
    average = WeightAverage(0.9)
    average.follow(model.train())
    for step in range(3):
        model(torch.rand(4, 2))
        with torch.no_grad():
            model[0].weight.fill_(float(step))
        average.update()
        with average.in_place(model):
            # Two copies, of the calls that set the scale; then an average, with decay 0.1.
            expected = (0.0, 1.0, 0.1 * 1 + 0.9 * 2)[step]
            assert model[0].weight[0, 0].item() == pytest.approx(expected)


def test_a_parameter_of_a_new_shape_begins_as_a_copy_and_the_others_go_on():
    model = nn.Sequential(one_weight(0.0), nn.Linear(1, 1))
    average = WeightAverage(0.9)
    average.follow(model)
    set_weight(model[0], 1.0)
    average.update()
    model[1] = nn.Linear(1, 3)
    average.follow(model)
    with average.in_place(model):
        assert model[0].weight.item() == pytest.approx(0.9)
        assert model[1].weight.shape == (3, 1)


def test_an_average_goes_on_from_its_state():
    model, one, two = one_weight(0.0), WeightAverage(0.9), WeightAverage(0.9)
    one.follow(model)
    set_weight(model, 1.0)
    one.update()
    two.load(one.state())
    two.follow(model)
    for average in (one, two):
        average.update()
    assert averaged(one, model) == averaged(two, model)


def test_a_parameter_that_is_made_anew_begins_again_as_a_copy():
    model, average = nn.Linear(1, 1), WeightAverage(0.5)
    average.follow(model)
    start = model.bias.detach().clone()
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.bias.fill_(3.0)
    average.begin_again(["weight"])
    average.follow(model)
    with average.in_place(model):
        assert model.weight.item() == 3.0 and torch.equal(model.bias, start)
