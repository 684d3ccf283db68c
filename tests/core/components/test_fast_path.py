"""Shortcuts of eager quantizers: the results of the calls they save."""

import pytest
import torch
from torch import nn

from qat.components import (
    BitWidthConst,
    ConstScaling,
    IntQuant,
    IntScaling,
    ParameterScaling,
    RescalingIntQuant,
    ZeroZeroPoint,
    fast_path,
)
from qat.ops import NO_BOUNDS


def rescaling(scaling=None) -> RescalingIntQuant:
    return RescalingIntQuant(
        IntQuant(narrow_range=False, signed=True),
        ConstScaling(2.0) if scaling is None else scaling,
        IntScaling(True, False),
        ZeroZeroPoint(),
        BitWidthConst(4),
    )


def test_torch_keeps_parts_buffers_and_hooks_where_the_shortcuts_look():
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.part, self.weight = nn.Linear(1, 1), nn.Parameter(torch.ones(1))
            self.register_buffer("value", torch.ones(1))

    module = Holder()
    assert module.__dict__["_modules"]["part"] is module.part
    assert module.__dict__["_parameters"]["weight"] is module.weight
    assert module.__dict__["_buffers"]["value"] is module.value
    assert not fast_path.is_watched(module)
    module.register_forward_hook(lambda *_: None)
    assert module._forward_hooks and fast_path.is_watched(module)
    module = Holder()
    module.register_forward_pre_hook(lambda *_: None)
    assert module._forward_pre_hooks and fast_path.is_watched(module)


def test_torch_counts_changes_of_a_tensor_in_place():
    tensor = torch.ones(1)
    before = tensor._version
    tensor.add_(1)
    assert tensor._version > before


def test_constants_are_found_where_their_modules_keep_them():
    bits, scaling = BitWidthConst(4), ConstScaling(2.0)
    assert fast_path.constant_of(bits) is bits.bit_width.value
    assert fast_path.constant_of(scaling) is scaling.value.value
    assert fast_path.constant_of(ParameterScaling(2.0)) is None


def test_a_constant_that_somebody_watches_is_called():
    scaling, calls = ConstScaling(2.0), []
    scaling.register_forward_hook(lambda *_: calls.append(1))
    assert fast_path.constant_of(scaling) is None


@pytest.mark.parametrize("scaling", [ConstScaling, ParameterScaling])
def test_the_shortcut_gives_what_the_calls_of_the_parts_give(scaling, backend, monkeypatch):
    quant, x = rescaling(scaling(2.0)), torch.randn(50)
    found = quant(x)
    monkeypatch.setattr(fast_path, "grid_of", lambda quantizer: None)
    for a, b in zip(found, quant(x), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("part", ["scaling_impl", "int_quant"])
def test_watched_parts_are_called(part, toolchain):
    quant, calls = rescaling(), []
    quant(torch.ones(3))
    getattr(quant, part).register_forward_hook(lambda *_: calls.append(part))
    quant(torch.ones(3))
    assert calls == [part]


def test_grid_is_computed_again_after_a_change_in_place_a_move_and_a_replacement():
    quant = rescaling()
    grid, _ = fast_path.grid_of(quant)
    assert fast_path.grid_of(quant)[0] is grid
    quant.msb_clamp_bit_width_impl.bit_width.value.fill_(3.0)
    grid, int_range = fast_path.grid_of(quant)
    assert (grid.bit_width, int_range) == (3, 4)
    quant.to(torch.float64)
    assert fast_path.grid_of(quant)[0].bit_width.dtype == torch.float64
    quant.msb_clamp_bit_width_impl = BitWidthConst(8)
    grid, int_range = fast_path.grid_of(quant)
    assert (grid.bit_width, int_range) == (8, 128)


def test_a_grid_first_found_in_inference_mode_can_be_trained_with():
    quant = rescaling(ParameterScaling(2.0))
    with torch.inference_mode():
        quant(torch.ones(3))
    y = quant(torch.ones(3), NO_BOUNDS)[0]
    y.sum().backward()
    assert quant.scaling_impl.value.grad is not None


def test_compiled_code_remembers_nothing():
    torch._dynamo.reset()
    quant, x = rescaling(), torch.randn(8)
    found = torch.compile(quant, fullgraph=True, backend="eager")(x)[0]
    assert "_remembered" not in quant.__dict__
    assert torch.equal(found, quant(x)[0])
