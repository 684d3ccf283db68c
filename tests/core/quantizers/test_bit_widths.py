"""Learned bit widths in quantizers and layers: the gradient moves them, the grid follows."""

import copy
import pickle

import pytest
import torch

from qat.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from qat.quantizers import Int8WeightPerTensorFloat

LEARNED = {"bit_width_impl_type": "parameter", "bit_width": 4}
OF_WEIGHT = {f"weight_{name}": item for name, item in LEARNED.items()}


def linear(**kwargs):
    torch.manual_seed(1)
    return QuantLinear(16, 4, bias=False, **{**OF_WEIGHT, **kwargs})


def offset_of(proxy):
    """The parameter of a learned bit width, by its name."""
    ((_, parameter),) = [
        (name, p) for name, p in proxy.named_parameters() if "bit_width" in name.split(".")[-1]
    ]
    return parameter


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_optimizer_step_changes_the_width_that_is_used(direction, backend):
    layer = linear()
    optimizer = torch.optim.SGD([offset_of(layer.weight_quant)], lr=1.2)
    x = torch.randn(8, 16)
    before = layer.quant_weight()
    gradient = torch.autograd.grad(layer.quant_weight().bit_width, offset_of(layer.weight_quant))
    assert gradient[0].item() == 1.0
    loss = direction * layer.quant_weight().bit_width + 0.0 * layer(x).sum()
    loss.backward()
    optimizer.step()
    after = layer.quant_weight()
    assert (before.bit_width.item(), after.bit_width.item()) == (4.0, 4.0 - direction)
    # the grid is that of the whole number: +-7, +-3 or +-15
    top = 2 ** (after.bit_width.item() - 1) - 1
    assert torch.round(after.value / after.scale).abs().max().item() == top
    assert after.is_valid


@pytest.mark.parametrize("options", [{}, {"weight_scaling_impl_type": "parameter_from_stats"}])
def test_task_loss_moves_the_width(options, backend):
    layer = linear(**options)
    target = layer.weight.detach().clone()
    (layer.quant_weight().value - target).square().sum().backward()
    # each bit more makes the error of the weight smaller
    assert offset_of(layer.weight_quant).grad.item() < 0


@pytest.mark.parametrize("scaling", ["stats", "parameter_from_stats"])
def test_gradient_to_the_width_is_that_of_the_formula(scaling, backend):
    layer = linear(weight_scaling_impl_type=scaling).double()
    made = layer.quant_weight()
    weights = torch.linspace(-1, 2, made.value.numel(), dtype=torch.float64).reshape(4, 16)
    (weights * made.value).sum().backward()

    # y = s q, s = t / (2**(b-1) - 1), db = ln2 2**(b-1): ds = -s ln2 2**(b-1) / (2**(b-1) - 1);
    # dy = (q - x / s) ds inside. No element is clipped: t = max|x|.
    x, s = layer.weight.detach(), made.scale.item()
    q = torch.round(x / s)
    ds = -s * torch.log(torch.tensor(2.0)).item() * 8 / 7
    expected = (weights * (q - x / s)).sum() * ds
    torch.testing.assert_close(
        offset_of(layer.weight_quant).grad.double(), expected, rtol=1e-4, atol=1e-8
    )


def test_clipped_elements_tell_the_width_to_grow(backend):
    layer = linear(weight_scaling_impl_type="const", weight_scaling_const=7.0).double()
    with torch.no_grad():
        layer.weight.fill_(100.0)
    layer.quant_weight().value.sum().backward()
    # y = s qmax with s = 7 / qmax: what the finer step takes, the larger number gives
    assert offset_of(layer.weight_quant).grad.item() == pytest.approx(0.0, abs=1e-6)
    assert not layer.weight.grad.any()


@pytest.mark.parametrize("make", [QuantIdentity, QuantReLU])
def test_width_of_an_activation_is_learned(make, backend):
    layer = make(return_quant_tensor=True, scaling_impl_type="parameter", max_val=2.0, **LEARNED)
    out = layer(torch.rand(4, 5))
    assert out.bit_width.item() == 4.0
    (out.value - 0.3).square().sum().backward()
    gradient = offset_of(layer.act_quant).grad
    assert bool(gradient.isfinite())
    assert gradient.item() != 0.0


def test_width_below_its_least_is_refused_and_the_least_can_be_lowered():
    with pytest.raises(ValueError, match="bit_width is 1 .* start from min_bit_width, 2"):
        linear(weight_bit_width=1, weight_narrow_range=False)
    layer = linear(weight_bit_width=1, weight_min_bit_width=1, weight_narrow_range=False)
    assert layer.quant_weight().bit_width.item() == 1.0


@pytest.mark.parametrize("choice", ["stateful_const", "parameter"])
def test_width_is_restored_from_the_state_dict(choice):
    layer = linear(weight_bit_width_impl_type=choice, weight_bit_width=6)
    other = linear(weight_bit_width_impl_type=choice)
    other.load_state_dict(layer.state_dict(), strict=True)
    assert other.quant_weight().bit_width.item() == 6.0
    assert torch.equal(other.quant_weight().value, layer.quant_weight().value)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copy_learns_a_width_of_its_own(copied, backend):
    layer = linear()
    other = copied(layer)
    with torch.no_grad():
        offset_of(other.weight_quant).add_(3.0)
    widths = layer.quant_weight().bit_width.item(), other.quant_weight().bit_width.item()
    assert widths == (4.0, 7.0)


def test_kept_weight_is_quantized_again_after_the_width_has_changed(monkeypatch):
    monkeypatch.setattr("qat.proxy.reuse.weight_reuse.WORTH_KEEPING", 0)
    for choice in ("parameter", "stateful_const"):
        layer = linear(weight_bit_width_impl_type=choice).eval()
        bits = layer.weight_quant.tensor_quant.msb_clamp_bit_width_impl
        with torch.no_grad():
            layer.quant_weight()
            before = layer.quant_weight().value
            getattr(bits, "bit_width_offset" if choice == "parameter" else "bit_width").add_(2.0)
            assert layer.quant_weight().bit_width.item() == 6.0
            assert not torch.equal(layer.quant_weight().value, before)


def test_layer_with_learned_widths_compiles_into_one_graph(compiler):
    layer = QuantConv2d(3, 4, 3, weight_quant=Int8WeightPerTensorFloat, **OF_WEIGHT)
    x = torch.randn(1, 3, 5, 5)
    expected = layer(x)
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), expected)
    compiled(x).sum().backward()
    assert bool(offset_of(layer.weight_quant).grad.isfinite())
    exported = torch.export.export(layer.eval(), (x,)).module()
    torch.testing.assert_close(exported(x), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_width_is_learned_in_every_dtype(dtype):
    layer = linear().to(dtype)
    layer(torch.randn(2, 16, dtype=dtype)).square().sum().backward()
    assert offset_of(layer.weight_quant).grad.dtype == dtype
    assert bool(offset_of(layer.weight_quant).grad.isfinite())
