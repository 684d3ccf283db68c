"""Quantized models under torch.jit.trace, torch.func and fully_shard."""

import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call

from qat import torchscript
from qat.graph import LayerMatch, QuantizerChoice, Role, Rule

EVERYTHING = Rule(
    "quant",
    LayerMatch(),
    {
        Role.WEIGHT: QuantizerChoice("Int8WeightPerChannelFloat"),
        Role.INPUT: QuantizerChoice("Int8ActPerTensorFloat"),
        Role.ACTIVATION: QuantizerChoice("Uint8ActPerTensorFloat"),
    },
)


def net():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)
    )


@pytest.fixture(params=["before any data", "in the statistics phase", "in float"])
def quantized(request, backend, convert, example):
    """A converted model in evaluation, in each of the phases of training."""
    model = convert(net(), EVERYTHING).model
    if request.param != "before any data":
        model.train()(example)
    if request.param == "in float":
        for module in model.modules():
            if hasattr(module, "disable_quant"):
                module.disable_quant = True
    return model.eval()


@pytest.mark.skipif(not torchscript.is_available(), reason="this torch has no TorchScript")
def test_trace_of_a_quantized_model_gives_its_outputs_for_any_batch_size(
    request, quantized, example, backend
):
    if backend == "jit" and "float" not in request.node.name:
        with warnings.catch_warnings(), pytest.raises(RuntimeError, match="QAT_JIT=0"):
            warnings.simplefilter("ignore")
            torch.jit.trace(quantized, example)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        traced = torch.jit.trace(quantized, example, check_trace=True)
    for x in (example, example[:1], torch.randn(5, 3, 6, 6)):
        torch.testing.assert_close(traced(x), quantized(x))


def test_functional_call_computes_with_the_tensors_given(quantized, example):
    state = {**dict(quantized.named_parameters()), **dict(quantized.named_buffers())}
    assert torch.equal(functional_call(quantized, state, (example,)), quantized(example))
    without = {name: torch.zeros_like(t) for name, t in state.items() if name.startswith("4.")}
    scales = {name: t for name, t in state.items() if "_quant." in name}
    out = functional_call(quantized, {**state, **without, **scales}, (example,))
    assert torch.equal(out, torch.zeros_like(out))


@pytest.fixture
def trained(backend, convert, example):
    """A converted model that saw one batch, in evaluation."""
    model = convert(net(), EVERYTHING).model
    model.train()(example)
    return model.eval()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own jvp
@pytest.mark.parametrize("transform", ["grad", "jvp", "jacrev", "per sample"])
def test_gradients_of_functions_are_refused_with_what_to_do(trained, example, transform):
    state = dict(trained.named_parameters())

    def loss(state, x):
        return functional_call(trained, state, (x,)).sum()

    def per_sample():
        single = torch.func.grad(lambda state, x: loss(state, x[None]))
        return torch.func.vmap(single, (None, 0))(state, example)

    calls = {
        "grad": lambda: torch.func.grad(loss)(state, example),
        "jvp": lambda: torch.func.jvp(trained, (example,), (example,)),
        "jacrev": lambda: torch.func.jacrev(trained)(example),
        "per sample": per_sample,
    }
    with pytest.raises(RuntimeError, match=r"use loss.backward\(\) or torch.autograd.grad"):
        calls[transform]()


def test_gradients_of_a_functional_call_are_those_of_the_model(trained, example):
    parameters = dict(trained.named_parameters())
    found = torch.autograd.grad(
        functional_call(trained, parameters, (example,)).sum(), list(parameters.values())
    )
    trained(example).sum().backward()
    for gradient, parameter in zip(found, parameters.values(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_vmap_gives_the_outputs_of_the_batch_or_says_what_it_needs(trained, example, backend):
    def call():
        return torch.func.vmap(lambda x: trained(x[None])[0])(example)

    if backend == "native":
        torch.testing.assert_close(call(), trained(example))
    else:
        with pytest.raises(RuntimeError, match="call the model on the whole batch"):
            call()
    trained.train()
    with pytest.raises(RuntimeError, match=r"call model.eval\(\) first"):
        call()
