"""Clamping of accumulators: the integers lose their high bits, by saturation."""

import pytest
import torch

from qat.components import (
    BitWidthConst,
    IntQuant,
    MsbClampBitWidth,
    PrescaledRestrictIntQuantWithInputBitWidth,
    RemoveBitwidthParameter,
)


def clamp(signed=True, remove=4, low=2, high=32):
    bits = MsbClampBitWidth(BitWidthConst(remove), low, high)
    return PrescaledRestrictIntQuantWithInputBitWidth(IntQuant(False, signed), bits)


@pytest.mark.parametrize("signed, low, high", [(True, -16, 15), (False, 0, 31)])
@pytest.mark.parametrize("zero_point", [None, 3.0])
def test_scale_and_zero_point_stay_and_the_rest_saturates(signed, low, high, zero_point, built):
    quant = built(clamp(signed, remove=4))
    q = torch.arange(-256, 256).double()
    z = 0.0 if zero_point is None else zero_point
    given = () if zero_point is None else (torch.tensor(z).double(),)
    scale = torch.tensor(0.25).double()
    y, out_scale, out_zero_point, bits = quant((q - z) * 0.25, scale, torch.tensor(9.0), *given)
    assert torch.equal(y / 0.25 + z, q.clamp(low, high))
    assert (out_scale, out_zero_point, bits) == (0.25, z, 5)


def test_gradient_is_zero_where_it_saturates(built, gradient):
    quant = built(clamp(remove=4))
    x = torch.tensor([-100.0, -16.0, 3.0, 15.0, 100.0])
    found = gradient(lambda x: quant(x, torch.tensor(1.0), torch.tensor(9.0))[0], x)
    assert found.tolist() == [0, 1, 1, 1, 0]


def test_a_learned_number_of_bits_makes_whole_bits_and_moves(built):
    bits = MsbClampBitWidth(RemoveBitwidthParameter(3), 2, 32)
    with torch.no_grad():
        bits.bit_width_to_remove_impl.bit_width_coeff.mul_(1.1)  # 1 / (1.1 / 3) = 2.73 bits
    quant = built(PrescaledRestrictIntQuantWithInputBitWidth(IntQuant(False, True), bits))
    y, _, _, width = quant(torch.tensor([500.0, 2.0]), torch.tensor(1.0), torch.tensor(9.0))
    assert width == 6 and y.tolist() == [31.0, 2.0]
    y.sum().backward()
    (coefficient,) = quant.parameters()
    assert coefficient.grad != 0
