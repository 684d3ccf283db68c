"""Values and gradients of the straight-through ops, on both backends.

Expected numbers are worked out by hand from the definitions in ``qat.ops.ste``.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qat import ops

INF, NAN = math.inf, math.nan
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def scalar_clamp(x):
    return ops.scalar_clamp_ste(x, -1.0, 2.0)


def scalar_clamp_min(x):
    return ops.scalar_clamp_min_ste(x, -1.0)


def tensor_clamp_ste(x):
    return ops.tensor_clamp_ste(x, torch.tensor(-1.0), torch.tensor(2.0))


def ordinary_clamp(x):
    return ops.tensor_clamp(x, torch.tensor(-1.0), torch.tensor(2.0))


def tensor_clamp_in_place(x):
    return ops.tensor_clamp_ste_(x.clone(), torch.tensor(-1.0), torch.tensor(2.0))


#        x: -inf   -2.5  -1.5  -0.7  -0.5  -0.0  0.0  0.3  0.5  1.5  2.5  3.5  inf  nan
X = [-INF, -2.5, -1.5, -0.7, -0.5, -0.0, 0.0, 0.3, 0.5, 1.5, 2.5, 3.5, INF, NAN]
VALUES = {
    ops.round_ste: [-INF, -2, -2, -1, 0, 0, 0, 0, 0, 2, 2, 4, INF, NAN],
    ops.ceil_ste: [-INF, -2, -1, 0, 0, 0, 0, 1, 1, 2, 3, 4, INF, NAN],
    ops.floor_ste: [-INF, -3, -2, -1, -1, 0, 0, 0, 0, 1, 2, 3, INF, NAN],
    ops.round_to_zero_ste: [-INF, -2, -1, 0, 0, 0, 0, 0, 0, 1, 2, 3, INF, NAN],
    ops.dpu_round_ste: [-INF, -2, -1, -1, 0, 0, 0, 0, 0, 2, 2, 4, INF, NAN],
    ops.binary_sign_ste: [-1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1, NAN],
    ops.ternary_sign_ste: [-1, -1, -1, -1, -1, 0, 0, 1, 1, 1, 1, 1, 1, NAN],
    scalar_clamp: [-1, -1, -1, -0.7, -0.5, 0, 0, 0.3, 0.5, 1.5, 2, 2, 2, NAN],
    scalar_clamp_min: [-1, -1, -1, -0.7, -0.5, 0, 0, 0.3, 0.5, 1.5, 2.5, 3.5, INF, NAN],
    tensor_clamp_ste: [-1, -1, -1, -0.7, -0.5, 0, 0, 0.3, 0.5, 1.5, 2, 2, 2, NAN],
    tensor_clamp_in_place: [-1, -1, -1, -0.7, -0.5, 0, 0, 0.3, 0.5, 1.5, 2, 2, 2, NAN],
    ordinary_clamp: [-1, -1, -1, -0.7, -0.5, 0, 0, 0.3, 0.5, 1.5, 2, 2, 2, NAN],
    ops.abs_binary_sign_grad: [INF, 2.5, 1.5, 0.7, 0.5, 0, 0, 0.3, 0.5, 1.5, 2.5, 3.5, INF, NAN],
}
ORDINARY = (ordinary_clamp, ops.abs_binary_sign_grad)
STRAIGHT_THROUGH = [op for op in VALUES if op not in ORDINARY]


def name_of(parameter):
    return getattr(parameter, "__name__", None) or str(parameter).removeprefix("torch.")


every_op = pytest.mark.parametrize("op", VALUES, ids=name_of)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=name_of)


@every_dtype
@every_op
def test_value_is_the_one_worked_out_by_hand(op, dtype, backend):
    x = torch.tensor(X, dtype=dtype)
    expected = torch.tensor(VALUES[op], dtype=dtype)
    torch.testing.assert_close(op(x), expected, rtol=0, atol=0, equal_nan=True)


@every_dtype
@every_op
def test_subnormals_have_the_sign_they_have(op, dtype, backend):
    tiny = ops.smallest_normal(torch.zeros(1, dtype=dtype)) / 4
    y = op(torch.tensor([-tiny, tiny], dtype=dtype))
    if op in (ops.binary_sign_ste, ops.ternary_sign_ste):
        assert y.tolist() == [-1, 1]
    assert y.dtype == dtype


@every_dtype
@pytest.mark.parametrize("op", STRAIGHT_THROUGH, ids=name_of)
def test_gradient_is_the_identity_everywhere(op, dtype, backend):
    x = torch.tensor(X, dtype=dtype, requires_grad=True)
    upstream = torch.arange(1, len(X) + 1).to(dtype)
    op(x).backward(upstream)
    assert torch.equal(x.grad, upstream)
    assert x.grad.dtype == dtype


@every_dtype
def test_gradient_of_abs_is_the_binary_sign_of_its_input(dtype, backend):
    x = torch.tensor([-INF, -2.5, -0.0, 0.0, 0.5, INF], dtype=dtype, requires_grad=True)
    ops.abs_binary_sign_grad(x).backward(torch.tensor([1, 2, 3, 4, 5, 6], dtype=dtype))
    assert x.grad.tolist() == [-1, -2, 3, 4, 5, 6]


def test_tensor_bounds_get_no_gradient(backend):
    x, lo, hi = (torch.tensor(v, requires_grad=True) for v in ([-3.0, 3.0], -1.0, 1.0))
    ops.tensor_clamp_ste(x, lo, hi).sum().backward()
    assert x.grad.tolist() == [1, 1]
    assert lo.grad is None and hi.grad is None


def test_tensor_bounds_are_broadcast_per_channel_and_keep_the_dtype_of_x(backend):
    x = torch.full((2, 3), 9.0, dtype=torch.float16, requires_grad=True)
    hi = torch.tensor([[1.0], [2.0]])  # float32
    y = ops.tensor_clamp_ste(x, -hi, hi)
    y.sum().backward()
    assert y.dtype == torch.float16
    assert y.tolist() == [[1, 1, 1], [2, 2, 2]]
    assert x.grad.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_tensor_clamp_sends_the_gradient_to_x_inside_and_to_the_bound_that_was_hit_outside(backend):
    x = torch.tensor([-3.0, -1.0, 0.5, 1.0, 3.0, 4.0], requires_grad=True)
    lo, hi = torch.tensor(-1.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    y = ops.tensor_clamp(x, lo, hi)
    y.backward(torch.tensor([1.0, 2, 4, 8, 16, 32]))
    assert y.tolist() == [-1, -1, 0.5, 1, 1, 1]
    assert x.grad.tolist() == [0, 2, 4, 8, 0, 0]
    assert lo.grad.item() == 1
    assert hi.grad.item() == 48


def test_ordinary_clamp_sums_the_gradient_of_a_bound_over_what_it_was_broadcast_to(backend):
    x = torch.full((2, 3), 9.0)
    lo, hi = torch.zeros(2, 1, requires_grad=True), torch.ones(3, requires_grad=True)
    ops.tensor_clamp(x, lo, hi).sum().backward()
    assert lo.grad.tolist() == [[0], [0]]
    assert hi.grad.tolist() == [2, 2, 2]


def test_in_place_clamp_returns_its_argument_with_its_history(backend):
    w = torch.tensor([-3.0, 0.5, 3.0], requires_grad=True)
    x = w * 2
    history = x.grad_fn
    y = ops.tensor_clamp_ste_(x, torch.tensor(-1.0), torch.tensor(1.0))
    y.sum().backward()
    assert y is x and x.grad_fn is history
    assert x.tolist() == [-1, 1, 1]
    assert w.grad.tolist() == [2, 2, 2]


def test_in_place_clamp_of_a_value_that_backward_needs_is_noticed(backend):
    w = torch.tensor([3.0], requires_grad=True)
    x = w.exp()  # saves its result
    ops.tensor_clamp_ste_(x, torch.tensor(-1.0), torch.tensor(1.0))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        x.sum().backward()


def test_in_place_clamp_refuses_a_parameter(backend):
    parameter = torch.nn.Parameter(torch.tensor([3.0]))
    lo, hi = torch.tensor(-1.0), torch.tensor(1.0)
    with pytest.raises(RuntimeError, match="use tensor_clamp_ste, or call it under"):
        ops.tensor_clamp_ste_(parameter, lo, hi)
    assert parameter.item() == 3
    with torch.no_grad():
        ops.tensor_clamp_ste_(parameter, lo, hi)
    assert parameter.item() == 1


def test_python_gradient_function_carries_the_name_of_the_op(use_backend):
    use_backend("python")
    y = ops.abs_binary_sign_grad(torch.ones(1, requires_grad=True))
    assert type(y.grad_fn).__name__ == "AbsBinarySignGradFnBackward"


floats = st.floats(-1e6, 1e6, width=32)


@given(st.lists(floats, min_size=1, max_size=20))
def test_rounding_twice_changes_nothing_and_moves_at_most_half_a_step(values):
    x = torch.tensor(values)
    for op, most in ((ops.round_ste, 0.5), (ops.dpu_round_ste, 0.5), (ops.floor_ste, 1.0)):
        y = op(x)
        assert torch.equal(op(y), y)
        assert (y - x).abs().max() <= most


@given(st.lists(floats, min_size=2, max_size=20))
def test_order_is_kept(values):
    x = torch.tensor(sorted(values))
    for op in STRAIGHT_THROUGH:
        assert (op(x).diff() >= 0).all()
