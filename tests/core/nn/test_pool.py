"""Pooling of quantized tensors."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qat import QuantTensor
from qat.nn import (
    QuantAdaptiveAvgPool2d,
    QuantAdaptiveMaxPool2d,
    QuantAvgPool2d,
    QuantIdentity,
    QuantMaxPool1d,
    QuantMaxPool2d,
    QuantMaxPool3d,
)
from qat.quantizers import Int8ActPerTensorFloatMinMaxInit

BOUNDS = {"min_val": -1.0, "max_val": 1.0}


def quantized(*shape):
    identity = QuantIdentity(Int8ActPerTensorFloatMinMaxInit, return_quant_tensor=True, **BOUNDS)
    return identity(torch.randn(shape))


POOLS = {
    "max": (QuantMaxPool2d, nn.MaxPool2d, (3, 2, 1)),
    "adaptive_max": (QuantAdaptiveMaxPool2d, nn.AdaptiveMaxPool2d, (4,)),
    "average": (QuantAvgPool2d, nn.AvgPool2d, (2,)),
    "average_strided": (QuantAvgPool2d, nn.AvgPool2d, (3, 2, 1, False, False)),
    "adaptive": (QuantAdaptiveAvgPool2d, nn.AdaptiveAvgPool2d, (2,)),
    "global": (QuantAdaptiveAvgPool2d, nn.AdaptiveAvgPool2d, (1,)),
}


@pytest.mark.parametrize("name", POOLS)
def test_pool_of_plain_tensors_is_the_float_pool(name):
    quantized_class, float_class, arguments = POOLS[name]
    x = torch.randn(2, 3, 6, 6)
    pool = quantized_class(*arguments)
    assert torch.equal(pool(x), float_class(*arguments)(x))
    assert isinstance(pool, float_class) and list(pool.state_dict()) == []


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("return_quant_tensor", [True, False])
def test_pool_of_quantized_tensors_has_the_values_of_the_float_pool(name, return_quant_tensor):
    quantized_class, float_class, arguments = POOLS[name]
    x = quantized(2, 3, 6, 6)
    out = quantized_class(*arguments, return_quant_tensor=return_quant_tensor)(x)
    assert isinstance(out, QuantTensor if return_quant_tensor else torch.Tensor)
    value = out.value if return_quant_tensor else out
    torch.testing.assert_close(value, float_class(*arguments)(x.value))


def test_largest_of_a_window_stays_on_the_grid():
    x = quantized(2, 3, 6, 6)
    out = QuantMaxPool2d(2, return_quant_tensor=True)(x)
    assert torch.equal(out.int().double(), F.max_pool2d(x.int().double(), 2))
    assert torch.equal(out.scale, x.scale)


def test_average_of_a_window_lies_on_a_finer_grid():
    x = quantized(2, 3, 6, 6)
    out = QuantAvgPool2d(2, return_quant_tensor=True)(x)
    assert torch.equal(out.int().double(), F.avg_pool2d(x.int().double(), 2, divisor_override=1))
    torch.testing.assert_close(out.scale, x.scale / 4)


@pytest.mark.parametrize("name", ["average", "adaptive"])
def test_output_quantizer_rounds_the_averages(name):
    quantized_class, float_class, arguments = POOLS[name]
    pool = quantized_class(
        *arguments,
        output_quant=Int8ActPerTensorFloatMinMaxInit,
        output_min_val=-1.0,
        output_max_val=1.0,
        output_bit_width=4,
        return_quant_tensor=True,
    )
    x = torch.randn(2, 3, 6, 6)
    expected = torch.round(float_class(*arguments)(x.double()) / 0.125).clamp(-8, 7)
    assert torch.equal(pool(x).int().double(), expected)


@pytest.mark.parametrize(
    "make, float_pool, shape",
    [
        (QuantMaxPool1d, F.max_pool1d, (2, 3, 6)),
        (QuantMaxPool2d, F.max_pool2d, (2, 3, 6, 6)),
        (QuantMaxPool3d, F.max_pool3d, (1, 2, 4, 4, 4)),
    ],
)
@pytest.mark.parametrize("return_quant_tensor", [True, False])
def test_max_pools_return_what_is_largest_and_where(make, float_pool, shape, return_quant_tensor):
    x = quantized(*shape)
    flow = {"return_quant_tensor": return_quant_tensor}
    expected, where = float_pool(x.value, 2, return_indices=True)
    alone = make(2, **flow)(x)
    for out, indices in (make(2, return_indices=True, **flow)(x), (alone, where)):
        assert isinstance(out, QuantTensor) is return_quant_tensor
        assert torch.equal(out.value if return_quant_tensor else out, expected)
        assert torch.equal(indices, where)


def test_global_average_lies_on_a_finer_grid():
    x = quantized(2, 3, 6, 6)
    out = QuantAdaptiveAvgPool2d(1, return_quant_tensor=True)(x)
    assert torch.equal(out.int().double(), x.int().double().sum((2, 3), keepdim=True))
