"""Bias correction brings the means of quantized layers back."""

import pytest
import torch
from torch import nn

from qat.nn import QuantConv2d, QuantConvTranspose2d, QuantLinear, QuantReLU
from qat.ptq import bias_correction_mode, calibration_mode
from qat.quantizers import Int8WeightPerTensorFloat

COARSE = {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": 3}


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        QuantConv2d(3, 8, 3, bias=False, **COARSE),
        QuantReLU(),
        QuantConvTranspose2d(8, 6, 2, **COARSE),
        QuantReLU(),
        nn.Flatten(),
        QuantLinear(6 * 7 * 7, 4, **COARSE),
    )


IMAGES = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1)) + 0.5


def means(model, x):
    """Mean per output channel of each layer with a weight."""
    found = []
    kinds = (QuantConv2d, QuantConvTranspose2d, QuantLinear)
    hooks = [
        layer.register_forward_hook(
            lambda _m, _a, out: found.append(out.movedim(1, 0).flatten(1).mean(1))
        )
        for layer in model
        if isinstance(layer, kinds)
    ]
    model(x)
    for hook in hooks:
        hook.remove()
    return found


@pytest.fixture
def calibrated():
    model = network()
    with torch.no_grad(), calibration_mode(model):
        model(IMAGES)
    return model.eval()


@torch.no_grad()
def in_float(model):
    off = [m for m in model.modules() if hasattr(m, "disable_quant")]
    for module in off:
        module.disable_quant = True
    found = means(model, IMAGES)
    for module in off:
        module.disable_quant = False
    return found


@torch.no_grad()
def test_the_mean_of_every_channel_is_that_of_the_float_model(calibrated):
    wanted = in_float(calibrated)
    before = means(calibrated, IMAGES)
    with bias_correction_mode(calibrated):
        for batch in IMAGES.split(32):
            calibrated(batch)
    after = means(calibrated, IMAGES)
    for float_mean, first, second in zip(wanted, before, after, strict=True):
        error, left = (float_mean - first).abs().mean(), (float_mean - second).abs().mean()
        assert left < 0.05 * error


@torch.no_grad()
def test_a_layer_without_a_bias_gets_one_and_weights_stay(calibrated):
    weights = [p.clone() for n, p in calibrated.named_parameters() if n.endswith("weight")]
    with bias_correction_mode(calibrated):
        calibrated(IMAGES)
    assert calibrated[0].bias.shape == (8,)
    after = [p for n, p in calibrated.named_parameters() if n.endswith("weight")]
    assert all(torch.equal(a, b) for a, b in zip(weights, after, strict=True))


@torch.no_grad()
def test_nothing_changes_where_it_is_off_or_the_block_raises(calibrated):
    state = {name: item.clone() for name, item in calibrated.state_dict().items()}
    with bias_correction_mode(calibrated, enabled=False):
        calibrated(IMAGES)
    with pytest.raises(KeyError), bias_correction_mode(calibrated):
        calibrated(IMAGES)
        raise KeyError
    after = calibrated.state_dict()
    assert state.keys() == after.keys()
    assert all(torch.equal(state[name], after[name]) for name in state)
    assert not calibrated[0]._forward_hooks


def test_calibration_that_is_off_does_nothing():
    model = network()
    state = {name: item.clone() for name, item in model.state_dict().items()}
    with torch.no_grad(), calibration_mode(model, enabled=False):
        model.eval()(IMAGES)
    assert all(torch.equal(state[name], item) for name, item in model.state_dict().items())
