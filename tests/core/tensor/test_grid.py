"""Bounds, widths and equality of grids."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qat.tensor.grid import bounds, fit, same


@pytest.mark.parametrize(
    "bits, signed, expected",
    [(8, True, (-128, 127)), (8, False, (0, 255)), (2, True, (-2, 1)), (1, False, (0, 1))],
)
def test_bounds_are_those_of_twos_complement(bits, signed, expected):
    low, high = bounds(torch.tensor(float(bits)), signed)

    assert (int(low), int(high)) == expected


def test_one_signed_bit_is_minus_one_and_one():
    low, high = bounds(torch.tensor(1.0), True)

    assert (int(low), int(high)) == (-1, 1)


def test_bounds_are_exact_for_wide_formats_in_half_types():
    low, high = bounds(torch.tensor(32.0, dtype=torch.float16), True)

    assert (int(low), int(high)) == (-(2**31), 2**31 - 1)


@given(a=st.integers(-(2**40), 2**40), b=st.integers(-(2**40), 2**40), signed=st.booleans())
def test_fit_gives_the_narrowest_format_that_holds_the_range(a, b, signed):
    low, high = min(a, b), max(a, b)

    limits = torch.tensor([low, high], dtype=torch.float64)
    width, shift = fit(limits[0], limits[1], signed)

    def holds(bits):
        # two bits are the least that hold zero with a sign; integer arithmetic as the reference
        least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return least <= low + int(shift) and high + int(shift) <= most

    bits = int(width)
    assert holds(bits)
    assert bits == (2 if signed else 1) or not holds(bits - 1)
    assert int(shift) == (0 if signed else max(0, -low))


def test_the_same_object_is_the_same_scale():
    scale = torch.tensor(float("nan"))

    assert same(scale, scale)


@pytest.mark.parametrize(
    "other, expected",
    [
        (torch.tensor(0.5), True),
        (torch.tensor([0.5]), True),
        (torch.tensor(0.25), False),
        (torch.tensor([0.5, 0.5]), False),
        (torch.tensor(0.5, dtype=torch.float64), False),
        (torch.tensor(0.5, device="meta"), False),
    ],
    ids=["equal", "one_entry", "different", "two_entries", "dtype", "meta"],
)
def test_scales_are_compared_by_their_entries(other, expected):
    assert same(torch.tensor(0.5), other) is expected
