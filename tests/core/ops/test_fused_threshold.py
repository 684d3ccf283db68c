"""A fused quantizer that divides a stored threshold itself, against the single steps."""

import warnings

import pytest
import torch

from qat import ops

GRID = (torch.tensor(1.0), torch.tensor(4.0), True, False, True, -0.6, None)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SHAPES = {"tensor": (), "channel": (6, 1), "one_entry": (1,)}
every_shape = pytest.mark.parametrize("shape", SHAPES)


def operands(shape, dtype):
    """Thresholds of both signs; one is 0, one is so small that its scale is no normal number."""
    stored = (torch.rand(SHAPES[shape]) * 2 - 1).to(dtype)
    if stored.numel() > 2:
        stored.view(-1)[0], stored.view(-1)[1] = 0.0, torch.finfo(dtype).tiny
    return torch.randn(6, 40).to(dtype), stored, torch.tensor(8.0, dtype=dtype)


def scale_of(stored, smallest, int_range):
    threshold = torch.clamp(stored.abs(), min=smallest)
    return torch.clamp(threshold / int_range, min=torch.finfo(stored.dtype).tiny)


@every_shape
@pytest.mark.parametrize("smallest", [0.0, 0.25])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_value_and_scale_are_those_of_the_steps(shape, smallest, dtype, backend):
    x, stored, int_range = operands(shape, dtype)
    y, scale = ops.threshold_int_fake_quantize(x, stored, smallest, int_range, *GRID)
    expected = scale_of(stored, smallest, int_range)
    assert torch.equal(scale, expected) and scale.dtype == dtype
    assert torch.equal(y, ops.int_fake_quantize(x, expected, *GRID))


@every_shape
@pytest.mark.parametrize("smallest", [0.0, 0.25])
@pytest.mark.parametrize("weight_of_scale", [0.0, 3.0])
def test_gradients_are_those_of_the_steps(shape, smallest, weight_of_scale, backend):
    x, stored, int_range = operands(shape, torch.float32)
    x, stored = x.requires_grad_(), stored.requires_grad_()
    y, scale = ops.threshold_int_fake_quantize(x, stored, smallest, int_range, *GRID)
    g = torch.randn(y.shape)
    found = torch.autograd.grad((g * y).sum() + weight_of_scale * scale.sum(), (x, stored))

    plain = scale_of(stored.detach(), smallest, int_range).requires_grad_()
    loss = (g * ops.int_fake_quantize(x, plain, *GRID)).sum() + weight_of_scale * plain.sum()
    to_x, to_scale = torch.autograd.grad(loss, (x, plain))
    # d scale / d stored = sign / range, with the sign of 0 positive; no floor stops it
    sign = torch.where(stored >= 0, 1.0, -1.0)
    assert torch.equal(found[0], to_x)
    torch.testing.assert_close(found[1], to_scale * sign / int_range, rtol=1e-5, atol=1e-5)


def test_scale_may_be_used_alone(backend):
    x, stored, int_range = operands("channel", torch.float32)
    stored = stored.requires_grad_()
    _, scale = ops.threshold_int_fake_quantize(x, stored, 0.0, int_range, *GRID)
    scale.sum().backward()
    sign = torch.where(stored >= 0, 1.0, -1.0)
    torch.testing.assert_close(stored.grad, sign / int_range)


@every_shape
def test_opcheck_passes(shape, use_backend):
    use_backend("native")
    x, stored, int_range = operands(shape, torch.float32)
    arguments = (x.requires_grad_(), stored.requires_grad_(), 0.25, int_range, *GRID)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # opcheck looks at .grad of what is no leaf
        torch.library.opcheck(torch.ops.qat.threshold_int_fake_quantize.default, arguments)
