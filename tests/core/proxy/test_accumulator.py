"""Proxies of accumulators: a QuantTensor in, a QuantTensor out, and clear refusals."""

import copy
import pickle

import pytest
import torch
from torch import nn

from qat import QuantTensor
from qat.formats import E4M3_OCP
from qat.proxy import ClampQuantProxyFromInjector, TruncQuantProxyFromInjector
from qat.quantizers import ClampTo8bit, ShiftRoundSaturateTo8bit, TruncTo8bit

PROXIES = {
    "trunc": (TruncQuantProxyFromInjector, TruncTo8bit),
    "clamp": (ClampQuantProxyFromInjector, ClampTo8bit),
}


def made(name, quantizer=None):
    proxy_class, default = PROXIES[name]
    return proxy_class(nn.Identity(), default if quantizer is None else quantizer)


def accumulator(signed=True, **fields):
    q = torch.tensor([-300.0, -1.0, 0.0, 7.0, 1000.0])
    q = q if signed else q.abs()
    return QuantTensor(q * 0.5, 0.5, 0.0, 12.0, signed, False).set(**fields)


@pytest.mark.parametrize("signed", [True, False])
def test_truncation_keeps_the_sign_of_its_input(signed, backend):
    out = made("trunc")(accumulator(signed))
    expected = [-19, -1, 0, 0, 62] if signed else [18, 0, 0, 0, 62]
    assert out.int().tolist() == expected
    assert (out.scale, out.bit_width, out.signed, out.training) == (8.0, 8, signed, True)
    assert out.is_valid


def test_clamping_has_the_sign_it_declares(backend):
    out = made("clamp").eval()(accumulator())
    assert out.int().tolist() == [-128, -1, 0, 7, 127]
    assert (out.scale, out.bit_width, out.signed, out.training) == (0.5, 8, True, False)
    unsigned = made("clamp", ClampTo8bit.let(signed=False))(accumulator())
    assert unsigned.int().tolist() == [0, 0, 0, 7, 255] and unsigned.signed is False


@pytest.mark.parametrize("name", PROXIES)
def test_grids_with_a_zero_point_keep_theirs(name, backend):
    x = accumulator(zero_point=torch.tensor(16.0))
    out = made(name)(x)
    assert out.is_valid and out.zero_point == (1.0 if name == "trunc" else 16.0)


@pytest.mark.parametrize("name", PROXIES)
def test_grids_per_channel_are_narrowed_per_channel(name):
    scale = torch.tensor([[0.5], [2.0]])
    x = QuantTensor(torch.tensor([[100.0], [-300.0]]) * scale, scale, 0.0, 12.0, True)
    out = made(name)(x)
    assert out.is_valid and out.scale.shape == (2, 1)


@pytest.mark.parametrize("name", PROXIES)
def test_a_plain_tensor_is_refused(name):
    with pytest.raises(TypeError, match="To8bit needs the integers of its input, but got a plain"):
        made(name)(torch.randn(3))


@pytest.mark.parametrize("name", PROXIES)
def test_a_tensor_without_a_grid_is_refused(name):
    with pytest.raises(ValueError, match="without bit_width: quantize the input and the weight"):
        made(name)(accumulator(bit_width=None))


@pytest.mark.parametrize("name", PROXIES)
def test_minifloats_are_refused(name):
    with pytest.raises(NotImplementedError, match="To8bit narrows integers; .* minifloats"):
        made(name)(QuantTensor(torch.ones(3), 1.0, 0.0, 8.0, True, format=E4M3_OCP))


@pytest.mark.parametrize("name", PROXIES)
def test_disabled_it_hands_on_anything(name):
    proxy = made(name)
    proxy.disable_quant = True
    x = torch.randn(3)
    assert proxy(x) is x and proxy.scale() is None and proxy.bit_width() is None


def test_a_truncation_knows_its_bit_width_and_no_scale(backend):
    proxy = made("trunc", TruncTo8bit.let(bit_width=5))
    assert proxy.bit_width() == 5
    assert not proxy.has_own_scale()
    for of_the_input in (proxy.scale, proxy.zero_point):
        with pytest.raises(RuntimeError, match="no grid of its own: it depends on that of"):
            of_the_input()


def test_a_shared_proxy_knows_its_layers():
    proxy, other = made("trunc"), nn.Identity()
    proxy.add_tracked_module(other)
    assert proxy.quant_injector.module[1] is other


def calibrated():
    proxy = made("trunc", ShiftRoundSaturateTo8bit.let(collect_stats_steps=1))
    proxy(accumulator())
    return proxy.eval()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda proxy: pickle.loads(pickle.dumps(proxy))])
def test_learned_ranges_are_copied_and_pickled(copied, backend):
    proxy = calibrated()
    out = copied(proxy)(accumulator())
    # 1000 of 2**12: a range of 1024 on 128 steps
    assert out.scale == 0.5 * 8 and torch.equal(out.value, proxy(accumulator()).value)


def test_learned_ranges_are_loaded(backend):
    proxy, fresh = calibrated(), made("trunc", ShiftRoundSaturateTo8bit).eval()
    fresh.load_state_dict(proxy.state_dict(), strict=True)
    assert torch.equal(fresh(accumulator()).value, proxy(accumulator()).value)
