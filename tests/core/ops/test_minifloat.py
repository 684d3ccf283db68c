"""The minifloat quantizer, against lists of numbers and torch's types."""

import math

import pytest
import torch

from qat import config, formats, ops

FORMATS = ["E4M3", "E5M2", "E4M3_OCP", "E5M2_OCP", "E4M3_FNUZ", "E5M2_FNUZ", "E3M2", "E2M3", "E2M1"]
FLOAT8 = {
    "E4M3_OCP": torch.float8_e4m3fn,
    "E5M2_OCP": torch.float8_e5m2,
    "E4M3_FNUZ": torch.float8_e4m3fnuz,
    "E5M2_FNUZ": torch.float8_e5m2fnuz,
}
every_format = pytest.mark.parametrize("name", FORMATS)
ONE = torch.tensor(1.0)


def quantize(x, scale, float_format, saturating=True, clipped=True):
    return ops.float_fake_quantize(
        x,
        scale,
        float_format.mantissa_bits,
        float_format.min_exponent,
        float_format.min_value,
        float_format.max_value,
        None if saturating else float_format.overflow,
        clipped,
    )


def nearest(x, float_format):
    """The number of the format nearest to ``x``, in float64; of two, that of the even code."""
    numbers = float_format.values()
    closest = min(abs(x - number) for number in numbers)
    among = [number for number in numbers if abs(x - number) == closest]
    codes = {abs(number): i for i, number in enumerate(n for n in numbers if n >= 0)}
    return min(among, key=lambda number: codes[abs(number)] % 2)


@every_format
def test_numbers_of_the_format_stay_as_they_are(name):
    float_format = getattr(formats, name)
    x = torch.tensor(float_format.values())
    assert torch.equal(quantize(x, ONE, float_format), x)


@every_format
def test_others_go_to_the_nearest_and_halves_to_the_even_code(name):
    float_format = getattr(formats, name)
    numbers = torch.tensor(float_format.values(), dtype=torch.float64)
    middles = (numbers[1:] + numbers[:-1]) / 2
    beside = torch.cat([middles * (1 + 1e-6), middles * (1 - 1e-6)])
    x = torch.cat([middles, beside, torch.randn(50).double() * float_format.max_value / 2])
    expected = [nearest(item, float_format) for item in x.float().double().tolist()]
    found = quantize(x.float(), ONE, float_format)
    assert found.double().tolist() == expected


@pytest.mark.parametrize("name", FLOAT8)
def test_it_is_the_cast_to_the_float8_type_of_torch(name):
    float_format = getattr(formats, name)
    bits = torch.randint(-(2**31), 2**31 - 1, (100_000,)).to(torch.int32).view(torch.float32)
    x = torch.cat([bits, torch.randn(20_000) * float_format.max_value / 3])
    x = x[x.abs() <= float_format.max_value]  # saturation differs between versions of torch
    assert torch.equal(quantize(x, ONE, float_format), x.to(FLOAT8[name]).to(torch.float32))


@every_format
def test_beyond_the_largest_it_saturates(name):
    float_format = getattr(formats, name)
    largest = float_format.max_value
    x = torch.tensor([largest * 1.01, 3 * largest, 1e30, torch.inf, -1e30, -torch.inf])
    expected = torch.tensor([largest] * 4 + [-largest] * 2)
    assert torch.equal(quantize(x, ONE, float_format), expected)


def test_or_it_becomes_infinity_or_nan_where_that_is_what_it_is_rounded_to():
    # 448 | 464 is half way to 480, which is none; 57344 | 61440 is half way to 65536
    y = quantize(torch.tensor([464.0, 465.0, -465.0]), ONE, formats.E4M3_OCP, saturating=False)
    assert y[0] == 448.0
    assert y[1:].isnan().all()
    y = quantize(torch.tensor([61439.0, 61440.0, -9e9]), ONE, formats.E5M2_OCP, saturating=False)
    assert y.tolist() == [57344.0, torch.inf, -torch.inf]


@every_format
def test_zero_stays_zero_and_nan_stays_nan(name):
    y = quantize(torch.tensor([0.0, -0.0, torch.nan]), ONE, getattr(formats, name))
    assert y[:2].tolist() == [0.0, 0.0]
    assert y[2].isnan()


def test_unsigned_formats_end_at_zero():
    float_format = formats.FloatFormat(2, 1, 1, signed=False)
    y = quantize(torch.tensor([-3.0, 0.6, 9.0]), ONE, float_format)
    assert y.tolist() == [0.0, 0.5, 6.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_type_is_computed_in_float32_or_wider(dtype):
    x = torch.randn(200).to(dtype)
    scale = torch.tensor(0.003, dtype=dtype)
    y = quantize(x, scale, formats.E4M3_OCP)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    steps = x.to(wide) / scale.to(wide)
    exact = [nearest(item, formats.E4M3_OCP) for item in steps.tolist()]
    expected = (torch.tensor(exact, dtype=wide) * scale).to(dtype)
    assert y.dtype == dtype
    assert torch.equal(y, expected)


@pytest.mark.parametrize("shape", [(0, 3), (1,), (2, 3, 4)])
def test_shapes_strides_and_scales_that_broadcast(shape):
    x = torch.randn(*reversed(shape)).permute(*range(len(shape) - 1, -1, -1))
    scale = torch.rand(shape[0], *(1 for _ in shape[1:])) + 0.5
    expected = (
        torch.stack([quantize(x[i], scale[i], formats.E2M1) for i in range(len(x))])
        if len(x)
        else x
    )
    y = quantize(x, scale, formats.E2M1)
    assert y.shape == x.shape
    assert torch.equal(y, expected)


@every_format
@pytest.mark.parametrize("clipped", [True, False])
def test_gradients_are_those_of_the_formula(name, clipped):
    float_format = getattr(formats, name)
    largest = float_format.max_value
    steps = torch.cat([torch.randn(60).double() * largest, torch.tensor([0.0, largest]).double()])
    scale = torch.tensor(0.37, dtype=torch.float64, requires_grad=True)
    x = (steps * 0.37).requires_grad_()
    weights = torch.randn(62).double()
    (weights * quantize(x, scale, float_format, clipped=clipped)).sum().backward()
    # what is rounded to more than the largest number is clipped: beyond half a step
    step = 2.0 ** (math.floor(math.log2(largest)) - float_format.mantissa_bits)
    beyond = (x.detach() / 0.37).abs() > largest + step / 2
    assert beyond.any() and not beyond.all()
    y = torch.tensor([nearest(item, float_format) for item in (x.detach() / 0.37).tolist()])
    per_step = y.double() - x.detach() / 0.37
    if clipped:
        per_step = torch.where(beyond, y.double(), per_step)
        assert torch.equal(x.grad, torch.where(beyond, 0.0, weights))
    else:
        assert torch.equal(x.grad, weights)
    torch.testing.assert_close(scale.grad, (weights * per_step).sum())


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_is_rounded_to_the_largest_number_does_not_overflow(sign):
    # E2M1: the step from 4 to 8 is 2, so that 6.9 is rounded to 6 and 7.1 to 8
    x, one = sign * torch.tensor([6.0, 6.9, 7.1]), torch.tensor(1.0)
    y = ops.float_fake_quantize(x, one, 1, 0, -6.0, 6.0, torch.inf, False)
    assert y.tolist() == [sign * 6.0, sign * 6.0, sign * torch.inf]


def test_what_overflows_gives_the_scale_no_gradient():
    scale = torch.tensor(1.0, requires_grad=True)
    x = torch.tensor([1.3, 1e9, -torch.inf], requires_grad=True)
    y = quantize(x, scale, formats.E5M2_OCP, saturating=False)
    y.clamp(-9, 9).sum().backward()
    assert scale.grad == 1.25 - torch.tensor(1.3)
    assert x.grad.tolist() == [1.0, 0.0, 0.0]


def test_one_tensor_is_saved_for_the_backward_pass():
    saved = []
    x, scale = torch.randn(64, requires_grad=True), torch.tensor(0.1, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        quantize(x, scale, formats.E4M3)
    assert sum(item.numel() for item in saved) == 65


def test_torchscript_calls_it_with_every_backend(backend, monkeypatch):
    ops.ensure_registered()
    monkeypatch.setattr(config, "JIT_ENABLED", False)
    x = torch.randn(20, requires_grad=True)
    y = torch.ops.qat.float_fake_quantize(x, ONE, 3, -6, -448.0, 448.0, None, True)
    y.sum().backward()
    assert torch.equal(y, quantize(x, ONE, formats.E4M3_OCP))
    assert torch.equal(x.grad, torch.ones(20))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiling_changes_nothing(dtype):
    torch._dynamo.reset()
    x = torch.cat([torch.randn(30) * 200, torch.tensor([0.0, torch.inf, torch.nan])]).to(dtype)
    scale = torch.tensor(0.5)

    def run(x, scale):
        leaf = x.detach().clone().requires_grad_()
        y = quantize(leaf, scale, formats.E4M3_OCP)
        return y, torch.autograd.grad(y[:31].sum(), leaf)[0]

    def forward(x, scale):
        return quantize(x, scale, formats.E4M3_OCP)

    compiled = torch.compile(forward, fullgraph=True, backend="aot_eager")
    leaf = x.detach().clone().requires_grad_()
    y = compiled(leaf, scale)
    (grad,) = torch.autograd.grad(y[:31].sum(), leaf)
    for found, expected in zip((y, grad), run(x, scale), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_exact_beside_powers_of_two(dtype):
    powers = 2.0 ** torch.arange(-20, 21, dtype=dtype)
    above, below = torch.nextafter(powers, 2 * powers), torch.nextafter(powers, 0 * powers)
    assert torch.equal(ops.float_step(powers, 0, -126), powers)
    assert torch.equal(ops.float_step(above, 0, -126), powers)
    assert torch.equal(ops.float_step(-below, 0, -126), powers / 2)
