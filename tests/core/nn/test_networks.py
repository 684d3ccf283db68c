"""Networks compiled, exported, copied, in other dtypes, on odd batches."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from qat.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantMaxPool2d, QuantReLU
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int32Bias,
    SignedBinaryWeightPerTensorConst,
)


def mixed(quant_tensors=False, steps=2):
    """Convolution per channel, activations from statistics, binary linear layer."""
    bias_quant = Int32Bias if quant_tensors else None
    flow = {"return_quant_tensor": quant_tensors}
    return nn.Sequential(
        QuantIdentity(collect_stats_steps=steps, **flow),
        QuantConv2d(2, 3, 3, weight_quant=Int8WeightPerChannelFloat, bias_quant=bias_quant, **flow),
        QuantReLU(collect_stats_steps=steps, **flow),
        QuantMaxPool2d(2, **flow),
        nn.Flatten(),
        QuantLinear(3, 2, weight_quant=SignedBinaryWeightPerTensorConst, bias_quant=bias_quant),
    )


def calibrated(quant_tensors=False):
    model = mixed(quant_tensors)
    for _ in range(2):
        model(torch.randn(4, 2, 4, 4))
    return model


def images(count=3, **keywords):
    return torch.randn(count, 2, 4, 4, **keywords)


@pytest.fixture(params=[False, True], ids=["plain", "quant_tensors"])
def quant_tensors(request):
    return request.param


# Graphs, of the network that hands on quantized tensors; one of plain tensors is compiled and
# exported in tests/core/graph. TorchScript modules are left out: torch refuses to trace into them.


def gradients(model, out):
    model.zero_grad()
    out.square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_compiled_training_is_eager_training_over_the_end_of_the_statistics(compiler):
    eager = mixed(quant_tensors=True, steps=1)
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        x = images()
        expected, out = eager(x), compiled(x)
        torch.testing.assert_close(out, expected)
        torch.testing.assert_close(gradients(twin, out), gradients(eager, expected))
    torch.testing.assert_close(twin.state_dict(), eager.state_dict())


def test_exported_evaluation_is_eager_evaluation(compiler):
    model = calibrated(quant_tensors=True).eval()
    x = images()
    exported = torch.export.export(model, (x,))
    assert torch.equal(exported.module()(x), model(x))
    assert exported.state_dict.keys() >= model.state_dict().keys()


# Copies


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_torch_save(model):
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    return torch.load(stream, weights_only=False)


@pytest.mark.parametrize(
    ("copied", "backend"),
    [
        *((each, "python") for each in (copy.deepcopy, through_pickle, through_torch_save)),
        *((each, "jit") for each in (copy.deepcopy, through_torch_save)),
    ],
    indirect=["backend"],
)
def test_a_copy_computes_the_same_and_lives_its_own_life(copied, backend):
    model = calibrated(quant_tensors=True)
    twin = copied(model)
    x = images()
    assert torch.equal(twin.eval()(x), model.eval()(x))
    torch.testing.assert_close(twin.state_dict(), model.state_dict(), rtol=0, atol=0)
    before = model(x)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    assert torch.equal(model(x), before)
    twin[1].weight_quant.init_tensor_quant()
    torch.testing.assert_close(
        twin[1].quant_weight_scale().flatten(), twin[1].weight.abs().flatten(1).amax(1) / 127
    )


@pytest.mark.parametrize(
    ("copied", "backend"),
    [(copy.deepcopy, "python"), (through_pickle, "jit")],
    indirect=["backend"],
)
def test_a_copy_goes_on_with_its_statistics(copied, backend):
    model = mixed()
    model(images())
    twin = copied(model)
    x = images()
    assert torch.equal(twin(x), model(x))
    torch.testing.assert_close(twin.state_dict(), model.state_dict(), rtol=0, atol=0)


# Dtypes, batches, memory formats, devices


@pytest.mark.parametrize(
    ("dtype", "backend"),
    [
        *((dtype, "python") for dtype in (torch.float16, torch.bfloat16, torch.float64)),
        *((torch.bfloat16, backend) for backend in ("native", "jit")),
    ],
    indirect=["backend"],
)
def test_a_model_converted_to_another_dtype_trains_in_it(dtype, quant_tensors, backend):
    model = mixed(quant_tensors).to(dtype)
    for _ in range(3):
        out = model(images(dtype=dtype))
        assert out.dtype == dtype and torch.isfinite(out).all()
    out.sum().backward()
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == dtype or name.endswith("counter"), name
    assert all(p.grad.dtype == dtype for p in model.parameters() if p.grad is not None)


def test_a_model_trains_under_autocast(quant_tensors, backend):
    model = mixed(quant_tensors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(3):
            out = model(images())
        out.float().square().sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert all(tensor.dtype != torch.bfloat16 for tensor in model.state_dict().values())


def test_double_precision_gives_the_integers_of_single_precision(backend):
    model = calibrated(quant_tensors=True).eval()[:4]
    x = images()
    single = model(x).int()
    assert torch.equal(model.double()(x.double()).int(), single)


@pytest.mark.parametrize(
    ("seen", "training", "backend"),
    [
        *((seen, training, "python") for seen in (True, False) for training in (True, False)),
        *((False, True, backend) for backend in ("native", "jit")),
    ],
    indirect=["backend"],
)
def test_an_empty_batch_gives_an_empty_output_and_moves_nothing(
    seen, training, quant_tensors, backend
):
    model = (calibrated(quant_tensors) if seen else mixed(quant_tensors)).train(training)
    before = copy.deepcopy(model.state_dict())
    out = model(images(0))
    assert out.shape == (0, 2)
    out.sum().backward()
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_samples_are_independent_in_evaluation(quant_tensors):
    model = calibrated(quant_tensors).eval()
    x = images(3)
    one_by_one = torch.cat([model(sample) for sample in x.split(1)])
    torch.testing.assert_close(model(x), one_by_one)


def test_channels_last_inputs_keep_their_format_and_values(quant_tensors):
    front = calibrated(quant_tensors).eval()[:3]
    x = images()
    expected = front(x)
    out = front.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    if quant_tensors:
        assert torch.equal(out.int(), expected.int())
        out, expected = out.value, expected.value
    torch.testing.assert_close(out, expected)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_strided_inputs_give_what_contiguous_ones_do(backend):
    relu = QuantReLU(collect_stats_steps=1)
    x = torch.randn(4, 6)
    relu(x)
    assert torch.equal(relu(x.T), relu(x).T)
    assert torch.equal(relu(x[:, ::2]), relu(x)[:, ::2])


def test_a_model_moved_to_a_device_trains_there(device, backend):
    model = mixed(quant_tensors=True).to(device)
    for _ in range(3):
        out = model(images(device=device))
    out.sum().backward()
    assert out.device.type == device.type
    here = copy.deepcopy(model).cpu().eval()
    x = images()
    torch.testing.assert_close(model.eval()(x.to(device)).cpu(), here(x), rtol=1e-3, atol=1e-3)


def test_layers_are_made_on_the_meta_device_and_filled_later():
    layer = QuantLinear(4, 3, input_quant=Int8ActPerTensorFloat, device="meta")
    floats = nn.Linear(4, 3)
    layer.load_state_dict(floats.state_dict(), assign=True, strict=False)
    assert torch.equal(layer.weight, floats.weight)
    torch.testing.assert_close(layer.quant_weight_scale(), floats.weight.abs().max() / 127)
