"""Ordinary gradients of the plain functions; their values are tested with the ops built on them."""

import torch

from qat import ops


def test_signs_and_rounding_have_zero_gradient():
    for function in (ops.binary_sign, ops.ternary_sign, ops.dpu_round):
        x = torch.tensor([-2.0, 0.0, 3.5], requires_grad=True)
        function(x).sum().backward()
        assert x.grad.tolist() == [0, 0, 0]
