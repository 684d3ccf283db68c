"""Bit widths that are fixed, learned, or left of an input's."""

import copy
import pickle

import pytest
import torch

from qat.components import (
    BitWidthConst,
    BitWidthParameter,
    BitWidthStatefulConst,
    CeilSte,
    FloorSte,
    MsbClampBitWidth,
    RemoveBitwidthParameter,
)
from qat.components.bit_width import BIT_WIDTH
from qat.components.restrict import IntRestrictValue

OUTSIDE = [0, 33, 2.5, -1, "four", None, True, float("nan")]


@pytest.mark.parametrize("bits", [1, 8, 32])
def test_bit_width_is_a_float_of_no_dimension(bits, built):
    result = built(BitWidthConst(bits))()
    assert (result.shape, result.item()) == ((), float(bits))


@pytest.mark.parametrize("bits", [1, 8, 32])
def test_stateful_bit_width_is_restored_from_a_state_dict(bits, built):
    module = built(BitWidthStatefulConst(4))
    module.load_state_dict(built(BitWidthStatefulConst(bits)).state_dict())
    assert list(module.state_dict()) == ["bit_width"]
    assert (module().shape, module().item(), module().requires_grad) == ((), float(bits), False)


@pytest.mark.parametrize("kind", BIT_WIDTH.values())
def test_bit_width_outside_its_range_is_refused(kind):
    for bits in OUTSIDE:
        with pytest.raises(ValueError, match=f"bit_width is {bits!r}; .* from 1 to 32"):
            kind(bits)


@pytest.mark.parametrize("bits", [2, 32])
def test_learned_bit_width_starts_where_it_is_told(bits, built):
    module = built(BitWidthParameter(bits))
    assert (module().item(), module().shape) == (float(bits), ())
    assert [name for name, _ in module.named_parameters()] == ["bit_width_offset"]


def test_learned_bit_width_is_a_whole_number_from_its_least_to_32(built):
    module = built(BitWidthParameter(4))
    # 2 + |offset|, halves to even, at most 32
    expected = {0.0: 2, 0.4: 2, 0.5: 2, 1.5: 4, -3.2: 5, 100.0: 32, -100.0: 32}
    for offset, bits in expected.items():
        with torch.no_grad():
            module.bit_width_offset.fill_(offset)
        assert module().item() == bits


def test_gradient_of_a_learned_bit_width_is_never_zero(built):
    module = built(BitWidthParameter(4))
    for offset, sign in ((1.7, 1.0), (-1.7, -1.0), (0.0, 1.0), (90.0, 1.0)):
        module.bit_width_offset.grad = None
        with torch.no_grad():
            module.bit_width_offset.fill_(offset)
        module().backward()
        assert module.bit_width_offset.grad.item() == sign


@pytest.mark.parametrize(("rounding", "expected"), [(FloorSte, 4.0), (CeilSte, 5.0)])
def test_learned_bit_width_takes_another_restriction(rounding, expected, built):
    module = built(BitWidthParameter(3, 1, IntRestrictValue(rounding())))
    with torch.no_grad():
        module.bit_width_offset.fill_(3.3)  # 1 + 3.3
    assert module().item() == expected


def test_learned_bit_width_below_its_least_is_refused():
    with pytest.raises(ValueError, match="bit_width is 3 .* start from min_bit_width, 4; raise"):
        BitWidthParameter(3, min_bit_width=4)


def test_learned_bit_width_follows_dtype_copy_and_pickle():
    module = BitWidthParameter(6).to(torch.bfloat16)
    assert module().dtype == torch.bfloat16
    assert copy.deepcopy(module)().item() == pickle.loads(pickle.dumps(module))().item() == 6.0


def test_bits_are_taken_off_the_top_within_bounds(built):
    module = built(MsbClampBitWidth(BitWidthStatefulConst(3), 2, 6))
    # |input - 3| from 2 to 6
    for given, expected in ((4.0, 2.0), (8.0, 5.0), (16.0, 6.0), (1.0, 2.0)):
        assert module(torch.tensor(given)).item() == expected


def test_bounds_of_a_bit_width_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="min_overall_bit_width is 8, above .* 4; exchange"):
        MsbClampBitWidth(BitWidthStatefulConst(3), 8, 4)


@pytest.mark.parametrize(("start", "expected"), [(4, 4.0), (1, 1.0), (0, 0.1)])
def test_bits_to_remove_start_where_they_are_told(start, expected, built):
    module = built(RemoveBitwidthParameter(start))
    assert module().item() == pytest.approx(expected, rel=1e-4)
    assert [name for name, _ in module.named_parameters()] == ["bit_width_coeff"]


def test_bits_to_remove_have_the_gradient_of_their_formula(built):
    module = built(RemoveBitwidthParameter(4, 0.5))
    for coefficient in (0.25, -0.25, 0.0):
        module.bit_width_coeff.grad = None
        with torch.no_grad():
            module.bit_width_coeff.fill_(coefficient)
        module().backward()
        # d 1 / (0.5 + |c|) = -sign(c) / (0.5 + |c|)**2, with sign(0) = 1
        sign = -1.0 if coefficient < 0 else 1.0
        expected = -sign / (0.5 + abs(coefficient)) ** 2
        assert module.bit_width_coeff.grad.item() == pytest.approx(expected)


def test_fewer_bits_to_remove_than_none_are_refused():
    with pytest.raises(ValueError, match="bit_width_to_remove is -1; it must be at least 0"):
        RemoveBitwidthParameter(-1)
