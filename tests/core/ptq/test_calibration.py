"""Calibration: float passes that activation quantizers take their scale from."""

import copy

import pytest
import torch
from torch import nn

from qat import config
from qat.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from qat.ptq import calibration_mode
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8BiasPerTensorFloatInternalScaling,
    Int8WeightPerTensorFloat,
    ready_made,
)

#: Their largest magnitudes are 4, 8, 3: the average is 5.
BATCHES = [torch.tensor([[largest, -0.5 * largest]]) for largest in (4.0, 8.0, 3.0)]


class Model(nn.Module):
    """A quantized model with batch norm and dropout."""

    def __init__(self):
        super().__init__()
        self.first = QuantIdentity(scaling_stats_op="max", collect_stats_steps=2)
        self.layer = QuantLinear(
            2, 3, bias_quant=Int8BiasPerTensorFloatInternalScaling, weight_bit_width=2
        )
        self.bn, self.drop = nn.BatchNorm1d(3), nn.Dropout(0.5)
        self.relu = QuantReLU(bit_width=2)

    def forward(self, x):
        return self.relu(self.drop(self.bn(self.layer(self.first(x)))))

    def in_float(self, x):
        """What the model computes with no quantizer, in evaluation."""
        layer, bn = self.layer, self.bn
        x = torch.nn.functional.linear(x, layer.weight, layer.bias)
        x = (x - bn.running_mean) / torch.sqrt(bn.running_var + bn.eps) * bn.weight + bn.bias
        return torch.relu(x)


def calibrate(model, batches=BATCHES):
    with torch.no_grad(), calibration_mode(model):
        for batch in batches:
            model(batch)
    return model


def state(model):
    """All that a block may change: tensors, modes, switches."""
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    switches = {
        name: (module.disable_quant, getattr(module, "is_calibrating", None))
        for name, module in model.named_modules()
        if hasattr(module, "disable_quant")
    }
    return tensors, modes, switches


def assert_same(one, other):
    assert one[1:] == other[1:]
    assert one[0].keys() == other[0].keys()
    for name in one[0]:
        assert torch.equal(one[0][name], other[0][name]), name


def test_scale_is_the_true_average_over_the_batches(backend):
    model = calibrate(Model())
    assert model.first.act_quant.scale().item() == pytest.approx(5.0 / 128)


def test_average_goes_beyond_the_steps_of_the_statistics_phase(backend):
    model = Model()
    calibrate(model, [torch.full((1, 2), 2.0)] * 7 + [torch.full((1, 2), 10.0)])
    assert model.first.act_quant.scale().item() == pytest.approx(3.0 / 128)


def test_every_batch_passes_in_float(backend):
    model = Model()
    with torch.no_grad(), calibration_mode(model):
        for batch in BATCHES:
            torch.testing.assert_close(model(batch), model.in_float(batch))


def test_scales_are_fixed_on_leaving(backend):
    model = calibrate(Model()).train()
    scale = model.first.act_quant.scale().clone()
    model.first(torch.full((1, 2), 100.0))
    assert torch.equal(model.first.act_quant.scale(), scale)


def test_calibrated_model_quantizes_alike_in_training_and_evaluation(backend):
    quant = QuantIdentity(scaling_stats_op="max")
    calibrate(quant)
    x = torch.tensor([1.234, -9.0])
    expected = torch.clamp(torch.round(x / (5.0 / 128)), -128, 127) * (5.0 / 128)
    torch.testing.assert_close(quant.train()(x), expected)
    torch.testing.assert_close(quant.eval()(x), expected)


def test_scale_can_be_learned_afterwards(backend):
    quant = calibrate(QuantIdentity(scaling_stats_op="max")).train()
    quant(torch.tensor([100.0])).backward()
    (value,) = quant.parameters()
    # 100 saturates at 127 steps: d y / d scale = 127, d scale / d value = 1 / 128
    assert value.grad.item() == pytest.approx(127 / 128)


def test_earlier_statistics_are_forgotten(backend):
    model = Model()
    model.first(torch.full((1, 2), 1000.0))
    assert calibrate(model).first.act_quant.scale().item() == pytest.approx(5.0 / 128)


def test_running_scale_averages_too(backend):
    quant = QuantIdentity(scaling_impl_type="stats", scaling_stats_op="max")
    calibrate(quant)
    assert quant.eval()(torch.tensor([9.0])).item() == pytest.approx(127 * 5.0 / 128)
    assert quant.act_quant.scale().item() == pytest.approx(5.0 / 128)


@pytest.mark.parametrize("training", [True, False])
def test_modes_and_switches_are_put_back(training, backend):
    model = Model().train(training)
    model.bn.train(not training)
    model.layer.weight_quant.disable_quant = True
    before = state(model)
    calibrate(model)
    assert state(model)[1:] == before[1:]


def test_batch_norm_statistics_do_not_move(backend):
    model = Model().train()
    before = model.bn.running_mean.clone()
    calibrate(model)
    assert torch.equal(model.bn.running_mean, before)


@pytest.mark.parametrize("seen", [0, 5])
def test_exception_leaves_the_model_as_it_was(seen, backend):
    model = Model()
    model(torch.cat(BATCHES))
    before, twin = state(model), copy.deepcopy(model)
    with pytest.raises(KeyError, match="lost"), torch.no_grad(), calibration_mode(model):
        for batch in (BATCHES * 2)[:seen]:
            model(batch)
        raise KeyError("lost")
    assert_same(state(model), before)
    # the statistics phase goes on as if nothing had happened
    model.drop.p = twin.drop.p = 0.0
    for batch in (torch.cat(BATCHES), 2 * torch.cat(BATCHES)):
        assert torch.equal(model(batch), twin(batch))


def test_without_a_batch_nothing_changes(backend):
    model = Model()
    before = state(model)
    calibrate(model, [])
    assert_same(state(model), before)


def test_quantizer_that_was_disabled_stays_so_and_sees_nothing(backend):
    model = Model()
    model.first.act_quant.disable_quant = True
    before = model.first.act_quant.state_dict()["tensor_quant.scaling_impl.counter"].item()
    calibrate(model)
    assert not model.first.act_quant.is_quant_enabled
    after = model.first.act_quant.state_dict()["tensor_quant.scaling_impl.counter"].item()
    assert (before, after) == (0, 0)


def test_constant_scales_are_left(backend):
    quant = QuantIdentity(scaling_impl_type="const", scaling_const=1.28)
    calibrate(quant)
    assert quant.act_quant.scale().item() == pytest.approx(0.01)


def test_shared_quantizer_averages_over_all_its_calls(backend):
    one = QuantIdentity(scaling_stats_op="max")
    other = QuantIdentity(act_quant=one.act_quant)
    calibrate(nn.Sequential(one, nn.Hardtanh(-2, 2), other))
    # 4, 8, 3 and, behind the bounds, 2, 2, 2
    assert one.act_quant.scale().item() == pytest.approx(3.5 / 128)


def test_input_and_output_quantizers_of_layers_are_calibrated(backend):
    layer = QuantConv2d(
        1,
        1,
        1,
        bias=False,
        weight_quant=Int8WeightPerTensorFloat,
        input_quant=Int8ActPerTensorFloat,
        output_quant=Int8ActPerTensorFloat,
    )
    nn.init.constant_(layer.weight, -0.5)
    calibrate(layer, [torch.full((1, 1, 2, 2), 4.0)])
    assert layer.input_quant.scale().item() == pytest.approx(4.0 / 128)
    assert layer.output_quant.scale().item() == pytest.approx(2.0 / 128)


def test_calibrated_state_loads_into_a_fresh_model(backend):
    model, fresh = calibrate(Model()), Model()
    fresh.load_state_dict(model.state_dict())
    x = torch.randn(4, 2)
    assert torch.equal(fresh.eval()(x), model.eval()(x))
    fresh.train()
    fresh.first(torch.full((1, 2), 100.0))
    assert fresh.first.act_quant.scale().item() == pytest.approx(5.0 / 128)


@pytest.mark.parametrize("quantizer", ["Int8ActPerTensorFloat", "ShiftedUint8ActPerTensorFloat"])
def test_calibration_finds_the_range_that_training_on_the_same_batches_finds(quantizer):
    declared = ready_made(quantizer).let(scaling_stats_momentum=None, collect_stats_steps=3)
    torch.manual_seed(0)
    batches = [torch.randn(4, 6) + 0.3, 3 * torch.randn(4, 6), torch.randn(4, 6)]
    calibrated, trained = QuantIdentity(declared), QuantIdentity(declared).train()
    with torch.no_grad(), calibration_mode(calibrated):
        for batch in batches:
            calibrated(batch)
    for batch in batches:
        trained(batch)
    x = torch.linspace(-4, 4, 50)
    assert torch.equal(calibrated.eval()(x), trained.eval()(x))
    assert calibrated.act_quant.scale() == trained.act_quant.scale()


@pytest.mark.skipif(config.JIT_ENABLED, reason="scripted scalings are called as in training")
def test_calibration_gives_no_scale_to_a_call():
    layer = QuantIdentity(Int8ActPerTensorFloat)
    # Called to give a scale.
    layer.act_quant.tensor_quant.scaling_impl.restrict_inplace_preprocess = None
    with torch.no_grad(), calibration_mode(layer):
        layer(torch.ones(3))
    assert layer.eval().act_quant.scale().item() == pytest.approx(1 / 128)
