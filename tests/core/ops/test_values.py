"""Ordinary gradients of the plain functions; their values are tested with the ops built on them."""

import torch

from qat import ops


def test_tensor_clamp_sends_the_gradient_to_x_inside_and_to_the_bound_that_was_hit_outside():
    x = torch.tensor([-3.0, -1.0, 0.5, 1.0, 3.0, 4.0], requires_grad=True)
    lo, hi = torch.tensor(-1.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    y = ops.tensor_clamp(x, lo, hi)
    y.backward(torch.tensor([1.0, 2, 4, 8, 16, 32]))
    assert y.tolist() == [-1, -1, 0.5, 1, 1, 1]
    assert x.grad.tolist() == [0, 2, 4, 8, 0, 0]
    assert lo.grad.item() == 1
    assert hi.grad.item() == 48


def test_signs_and_rounding_have_zero_gradient():
    for function in (ops.binary_sign, ops.ternary_sign, ops.dpu_round):
        x = torch.tensor([-2.0, 0.0, 3.5], requires_grad=True)
        function(x).sum().backward()
        assert x.grad.tolist() == [0, 0, 0]
