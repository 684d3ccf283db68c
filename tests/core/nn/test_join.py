"""Sums and concatenations with shared and tied quantizers."""

import pytest
import torch

from qat import QuantTensor
from qat.nn import QuantCat, QuantEltwiseAdd, QuantIdentity
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMinMaxInit,
    Uint8ActPerTensorFloat,
)

MIN_MAX = Int8ActPerTensorFloatMinMaxInit
BOUNDS = {"input_min_val": -1.0, "input_max_val": 1.0}


def on_grid(x, step=1 / 128):
    return torch.round(x.double() / step).clamp(-128, 127) * step


@pytest.mark.parametrize("return_quant_tensor", [True, False])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_all_parts_are_brought_to_one_grid_and_joined(dim, return_quant_tensor, backend):
    layer = QuantCat(MIN_MAX, None, return_quant_tensor=return_quant_tensor, **BOUNDS)
    parts = [torch.randn(2, 3), torch.randn(2, 3), torch.randn(2, 3)]
    out = layer(parts, dim)
    assert isinstance(out, QuantTensor) is return_quant_tensor
    if return_quant_tensor:
        assert out.is_valid and out.scale == 1 / 128 and out.bit_width == 8
        out = out.value
    torch.testing.assert_close(out.double(), on_grid(torch.cat(parts, dim)))


def test_channels_are_joined_unless_said_otherwise():
    layer = QuantCat(None, None)
    assert layer([torch.randn(2, 3, 4), torch.randn(2, 5, 4)]).shape == (2, 8, 4)


def test_output_quantizer_rounds_the_joined():
    of_output = {"output_min_val": -4.0, "output_max_val": 4.0, "output_bit_width": 4}
    layer = QuantCat(MIN_MAX, MIN_MAX, return_quant_tensor=True, **BOUNDS, **of_output)
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    out = layer([x, y])
    expected = torch.round(on_grid(torch.cat([x, y], 1)) / 0.5).clamp(-8, 7)
    assert torch.equal(out.int().double(), expected)


def test_the_parts_share_their_scale_after_the_statistics_phase(backend):
    layer = QuantCat(input_collect_stats_steps=2, output_quant=None, return_quant_tensor=True)
    layer([torch.randn(2, 30), 3 * torch.randn(2, 30)])
    assert layer.eval()([torch.randn(2, 3), torch.randn(2, 3)]).is_valid


def test_parts_may_be_quant_tensors_on_grids_of_their_own():
    parts = [QuantTensor(torch.tensor([[0.5, -0.5]]), 0.5, 0.0, 2.0, True), torch.randn(1, 2)]
    layer = QuantCat(MIN_MAX, None, return_quant_tensor=True, **BOUNDS)
    assert layer(parts).is_valid
    assert isinstance(QuantCat(None, None)(parts), torch.Tensor)


# Sums


def on_its_grid():
    identity = QuantIdentity(MIN_MAX, min_val=-1.0, max_val=1.0, return_quant_tensor=True)
    return identity(torch.randn(20))


def add(**keywords):
    keywords = {"output_quant": None, **keywords}
    return QuantEltwiseAdd(MIN_MAX, **BOUNDS, **keywords)


@pytest.mark.parametrize("training", [True, False])
def test_both_operands_are_brought_to_one_grid_and_added(training, backend):
    x, y = torch.randn(20), torch.randn(20)
    layer = add(return_quant_tensor=True).train(training)
    q = sum(torch.round(z.double() * 128).clamp(-128, 127) for z in (x, y))
    out = layer(x, y)
    assert torch.equal(out.int().double(), q)
    assert out.scale == 1 / 128 and out.bit_width == 9
    torch.testing.assert_close(add().train(training)(x, y).double(), q / 128)


def test_output_quantizer_rounds_the_sum():
    layer = add(
        output_quant=MIN_MAX,
        output_min_val=-2.0,
        output_max_val=2.0,
        output_bit_width=3,
        return_quant_tensor=True,
    )
    x, y = on_its_grid(), on_its_grid()
    expected = torch.round((x.value + y.value).double() / 0.5).clamp(-4, 3)
    assert torch.equal(layer(x, y).int().double(), expected)


def test_without_quantizers_it_is_a_plain_sum():
    x, y = torch.randn(5), torch.randn(5)
    assert torch.equal(QuantEltwiseAdd(None, None)(x, y), x + y)


def test_one_proxy_can_quantize_operands_and_sum(backend):
    identity = QuantIdentity(Int8ActPerTensorFloat, collect_stats_steps=1)
    identity(torch.full((4,), 1.0))
    layer = QuantEltwiseAdd(input_quant=identity.act_quant, output_quant=identity.act_quant)
    identity(torch.full((4,), 1.0))  # sharing built the quantizer anew
    x, y = torch.full((3,), 0.25), torch.full((3,), 0.5)
    assert torch.equal(layer.eval()(x, y), torch.full((3,), 0.75))
    keys = {key.split(".")[0] for key in layer.state_dict()}
    assert keys == {"input_quant", "output_quant"}
    layer.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x, y), torch.full((3,), 0.75))


def test_the_operands_share_their_scale_after_the_statistics_phase():
    layer = QuantEltwiseAdd(input_collect_stats_steps=2, return_quant_tensor=True)
    for _ in range(2):
        out = layer(torch.randn(50), 3 * torch.randn(50))
    assert layer.eval()(torch.randn(50), torch.randn(50)).is_valid
    assert isinstance(out, QuantTensor)


# Both

LAYERS = {
    "cat": (QuantCat, lambda layer, x, y: layer([x, y])),
    "add": (QuantEltwiseAdd, lambda layer, x, y: layer(x, y)),
}


@pytest.fixture(params=LAYERS)
def kind(request):
    return LAYERS[request.param]


def test_operands_and_result_are_8_bit_unless_said_otherwise(kind):
    layer = kind[0]()
    for proxy in (layer.input_quant, layer.output_quant):
        assert proxy.injector.__name__ == "Int8ActPerTensorFloat"
    assert layer.input_quant is not layer.output_quant


@pytest.mark.parametrize(
    "arguments",
    [
        {"input_quant": MIN_MAX, **BOUNDS},
        {"input_quant": MIN_MAX, "output_quant": None, **BOUNDS},
        {"output_quant": MIN_MAX, "output_min_val": -1.0, "output_max_val": 1.0},
        {"input_quant": None, "output_quant": MIN_MAX, **BOUNDS},
        {"input_quant": MIN_MAX, "output_quant": MIN_MAX, **BOUNDS, "output_min_val": -1.0},
    ],
)
def test_tied_quantizers_are_one(kind, arguments, backend):
    make, call = kind
    layer = make(tie_input_output_quant=True, return_quant_tensor=True, **arguments)
    assert layer.output_quant is layer.input_quant
    out = call(layer, torch.randn(2, 3), torch.randn(2, 3))
    assert out.is_valid and out.scale == 1 / 128 and out.bit_width == 8


def test_tied_statistics_are_loaded(kind, backend):
    make, call = kind
    layer = make(tie_input_output_quant=True, input_collect_stats_steps=3)
    x, y = torch.randn(2, 30), torch.randn(2, 30)
    call(layer, x, y)
    fresh = make(tie_input_output_quant=True, input_collect_stats_steps=3)
    fresh.load_state_dict(layer.state_dict(), strict=True)
    assert torch.equal(call(fresh.eval(), x, y), call(layer.eval(), x, y))
    assert fresh.output_quant is fresh.input_quant


def test_tied_none_is_no_quantizer(kind):
    make, call = kind
    layer = make(None, None, tie_input_output_quant=True)
    assert layer.input_quant.tensor_quant is None
    assert call(layer, torch.zeros(1, 2), torch.zeros(1, 2)).sum() == 0


def test_two_different_quantizers_cannot_be_tied(kind):
    with pytest.raises(ValueError, match="input_quant and output_quant are two; give one"):
        kind[0](MIN_MAX, Uint8ActPerTensorFloat, tie_input_output_quant=True)


def test_two_different_attributes_cannot_be_tied(kind):
    with pytest.raises(ValueError, match="input_bit_width and output_bit_width differ"):
        kind[0](tie_input_output_quant=True, input_bit_width=4, output_bit_width=5)


def test_unknown_arguments_are_refused(kind):
    with pytest.raises(TypeError, match="has no argument bit_width"):
        kind[0](bit_width=4)


def test_a_proxy_of_another_layer_is_shared(kind):
    make, call = kind
    identity = QuantIdentity(MIN_MAX, min_val=-1.0, max_val=1.0)
    layer = make(identity.act_quant, None, return_quant_tensor=True)
    assert layer.input_quant is identity.act_quant
    out = call(layer, torch.randn(1, 3), torch.randn(1, 3))
    assert out.is_valid and out.scale == 1 / 128


def test_gradients_reach_both_operands(kind):
    make, call = kind
    x, y = (torch.tensor([[0.25, 3.0]], requires_grad=True) for _ in range(2))
    call(make(MIN_MAX, None, **BOUNDS), x, y).sum().backward()
    assert x.grad.tolist() == y.grad.tolist() == [[1.0, 0.0]]  # 3.0 is clipped


def test_operands_of_a_sum_can_have_a_grid_each():
    layer = QuantEltwiseAdd(Uint8ActPerTensorFloat, None, other_quant=Int8ActPerTensorFloat)
    large, small = 100 * torch.rand(4, 50), torch.randn(4, 50) / 100
    layer(large, small)
    assert {"input_quant", "other_quant"} <= {name.split(".")[0] for name in layer.state_dict()}
    scales = layer.input_quant.scale(), layer.other_quant.scale()
    assert layer.eval()(large, small).sub(large + small).abs().max() <= sum(scales) / 2 + 1e-4


def test_an_operand_can_stay_as_it_is():
    layer = QuantEltwiseAdd(None, None, other_quant=None)
    x, y = torch.randn(3), torch.randn(3)
    assert torch.equal(layer(x, y), x + y)
    with pytest.raises(
        ValueError, match="other_quant is 'own'; give a quantizer, None, or 'shared'"
    ):
        QuantEltwiseAdd(other_quant="own")
