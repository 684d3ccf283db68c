"""Training of quantized recurrent layers, and the results that they give."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat import QuantTensor
from qat.nn import QuantLinear, QuantLSTM, QuantRNN
from qat.ptq import calibration_mode

STATISTICS = {"io_collect_stats_steps": 4, "gate_acc_collect_stats_steps": 2}
MORE_STATISTICS = {
    "sigmoid_collect_stats_steps": 2,
    "tanh_collect_stats_steps": 2,
    "cell_state_collect_stats_steps": 6,
}
KINDS = {
    "rnn": lambda **k: QuantRNN(3, 4, **STATISTICS, **k),
    "lstm": lambda **k: QuantLSTM(3, 4, **STATISTICS, **MORE_STATISTICS, **k),
}


@pytest.fixture(params=KINDS)
def make(request):
    return KINDS[request.param]


def sequence(batch=2, steps=2, **keywords):
    return torch.randn(steps, batch, 3, **keywords)


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def test_training_learns_to_remember_the_first_number(make, without_jit):
    layer, head = make(), QuantLinear(4, 1)
    x = torch.randn(3, 16, 3)
    target = torch.sign(x[0, :, :1])
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.03)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.mse_loss(head(layer(x)[0][-1]), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_every_parameter_and_scale_gets_a_gradient(make):
    layer = make(num_layers=2, bidirectional=True)
    for _ in range(6):
        layer.zero_grad()
        layer(sequence())[0].square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_optimizers_go_on_after_a_state_dict_was_loaded(make):
    layer = make()
    layer(sequence())
    held = dict(layer.named_parameters())
    layer.load_state_dict(copy.deepcopy(layer.state_dict()))
    assert all(held[name] is parameter for name, parameter in layer.named_parameters())


def test_it_trains_under_autocast(make):
    layer = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(3):
            out = layer(sequence())[0]
        out.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


def test_samples_are_independent_in_evaluation(make):
    layer = make(bidirectional=True)
    for _ in range(3):
        layer(sequence())
    layer.eval()
    x = sequence(batch=3)
    one_by_one = torch.cat([layer(each)[0] for each in x.split(1, dim=1)], 1)
    torch.testing.assert_close(layer(x)[0], one_by_one)
    torch.testing.assert_close(layer(x[:, 0])[0], one_by_one[:, 0])


def test_strided_input_gives_what_contiguous_input_does(make):
    layer = make().eval()
    x = torch.randn(3, 2, 5).permute(2, 1, 0)
    assert torch.equal(layer(x)[0], layer(x.contiguous())[0])


def test_outputs_are_quantized_where_asked_for(make):
    layer = make(return_quant_tensor=True, num_layers=2, batch_first=True)
    for _ in range(6):
        layer(torch.randn(2, 2, 3))
    out, last = layer(torch.randn(2, 2, 3))
    states = last if isinstance(last, tuple) else (last,)
    assert all(isinstance(each, QuantTensor) and each.is_valid for each in (out, *states))
    assert out.shape == (2, 2, 4) and out.signed is True and out.bit_width == 8
    again, _ = layer(out.value.new_ones(2, 2, 3), last)
    assert again.is_valid


def test_calibration_computes_in_float_and_fixes_the_scales(make):
    layer = make(num_layers=2, return_quant_tensor=True)
    x = sequence(batch=8, steps=4)
    with torch.no_grad(), calibration_mode(layer):
        calibrated = layer(x)[0]
    kind = nn.LSTM if isinstance(layer, QuantLSTM) else nn.RNN
    floats = kind(3, 4, num_layers=2)
    floats.load_state_dict({name: layer.state_dict()[name] for name in floats.state_dict()})
    torch.testing.assert_close(calibrated.value, floats(x)[0])
    for name, counter in layer.state_dict().items():
        if name.endswith("counter"):
            scaling = layer.get_submodule(name.removesuffix(".counter"))
            assert int(counter) == scaling.collect_stats_steps and not scaling.collecting, name
    assert layer.eval()(x)[0].is_valid


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_gates_of_a_copy_quantize_its_own_weights(copied, make):
    twin = copied(make())
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    weight = next(iter(twin.layers["l0"].weights.values()))
    torch.testing.assert_close(weight.weight_quant.scale(), weight.weight.abs().max() / 127)


@pytest.mark.slow
def test_statistics_of_gates_are_compiled(compiler):
    eager, x = KINDS["rnn"](), sequence(steps=1)
    twin = copy.deepcopy(eager)
    out = torch.compile(twin, fullgraph=True, backend="aot_eager")(x)[0]
    torch.testing.assert_close(out, eager(x)[0])
    torch.testing.assert_close(twin.state_dict(), eager.state_dict())


def test_a_layer_is_made_on_a_device(make, device):
    layer = make(device=device)
    assert all(x.device.type == device.type for x in (*layer.parameters(), *layer.buffers()))
