"""Recurrent layers with dynamically quantized states: a grid per step."""

from typing import Any

import pytest
import torch

from qat import QuantTensor
from qat.nn import QuantLSTM, QuantRNN
from qat.quantizers import (
    Int8BiasPerTensorFloatInternalScaling,
    Int8DynamicActPerRowFloat,
    Int8DynamicActPerTensorFloat,
    MXFloat8e4m3Act,
    MXInt8Act,
)

DYNAMIC: list[Any] = [
    Int8DynamicActPerTensorFloat,
    Int8DynamicActPerRowFloat,
    MXInt8Act.let(group_dim=-1),
    MXFloat8e4m3Act.let(group_dim=-1),
]


def example(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("layer_class", "io_quant", "shape"),
    [
        *((QuantRNN, io_quant, (3, 2, 6)) for io_quant in DYNAMIC),
        (QuantRNN, Int8DynamicActPerRowFloat, (3, 6)),
        (QuantLSTM, Int8DynamicActPerRowFloat, (3, 2, 6)),
        (QuantLSTM, MXFloat8e4m3Act.let(group_dim=-1), (3, 6)),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_outputs_and_states_are_on_the_grids_of_their_steps(layer_class, io_quant, shape):
    states = {"cell_state_quant": io_quant} if layer_class is QuantLSTM else {}
    arguments: Any = {"bidirectional": True, "bias_quant": None, "return_quant_tensor": True}
    layer = layer_class(6, 5, 2, io_quant=io_quant, **states, **arguments).eval()

    out, last = layer(example(*shape))

    for x in (out, *(last if layer_class is QuantLSTM else (last,))):
        assert isinstance(x, QuantTensor)
        assert x.is_valid


def test_a_bias_in_the_scale_of_the_input_is_refused():
    with pytest.raises(ValueError, match="use Int8BiasPerTensorFloatInternalScaling"):
        QuantLSTM(6, 5, io_quant=Int8DynamicActPerTensorFloat)


def test_a_bias_with_a_scale_of_its_own_is_taken():
    bias_quant = Int8BiasPerTensorFloatInternalScaling
    layer = QuantLSTM(6, 5, 2, io_quant=Int8DynamicActPerRowFloat, bias_quant=bias_quant)

    out, _ = layer(example(4, 3, 6))

    assert out.isfinite().all()
