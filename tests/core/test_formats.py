"""Minifloat formats: their numbers, enumerated again from the bits of each code."""

import doctest

import pytest

from qat import formats
from qat.formats import FloatFormat, SpecialValues

# (exponent bits, mantissa bits, bias): largest, smallest normal, smallest subnormal, by the
# specifications: OFP8 1.0 table 1, MX 1.0 tables 4 to 6, arXiv:2206.02915 table 1.
SPECIFIED = {
    "E4M3": (480.0, 2.0**-6, 2.0**-9),
    "E5M2": (114688.0, 2.0**-14, 2.0**-16),
    "E4M3_OCP": (448.0, 2.0**-6, 2.0**-9),
    "E5M2_OCP": (57344.0, 2.0**-14, 2.0**-16),
    "E4M3_FNUZ": (240.0, 2.0**-7, 2.0**-10),
    "E5M2_FNUZ": (57344.0, 2.0**-15, 2.0**-17),
    "E3M2": (28.0, 0.25, 0.0625),
    "E2M3": (7.5, 1.0, 0.125),
    "E2M1": (6.0, 1.0, 0.5),
}
NAMES = pytest.mark.parametrize("name", SPECIFIED)


def number_of_bits(bits, float_format):
    """What a string of exponent and mantissa bits stands for, read digit by digit."""
    exponent = int(bits[: float_format.exponent_bits], 2)
    digits = bits[float_format.exponent_bits :]
    fraction = sum(0.5 ** (i + 1) for i, digit in enumerate(digits) if digit == "1")
    if exponent == 0:
        return 2.0 ** (1 - float_format.bias) * fraction
    return 2.0 ** (exponent - float_format.bias) * (1 + fraction)


@NAMES
def test_limits_are_those_of_the_specification(name):
    float_format = getattr(formats, name)
    found = float_format.max_value, float_format.smallest_normal, float_format.smallest_subnormal
    assert found == SPECIFIED[name]


@NAMES
def test_values_are_those_of_all_codes(name):
    float_format = getattr(formats, name)
    width = float_format.exponent_bits + float_format.mantissa_bits
    codes = 2**width - float_format.special.codes
    positive = [number_of_bits(f"{code:0{width}b}", float_format) for code in range(codes)]
    expected = sorted({sign * number for sign in (-1.0, 1.0) for number in positive})
    assert float_format.values() == expected
    assert float_format.bit_width == width + 1


def test_unsigned_formats_have_no_negative_numbers_and_one_bit_less():
    float_format = FloatFormat(2, 1, 1, signed=False)
    assert float_format.values() == [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    assert float_format.bit_width == 3


def test_what_overflows_is_infinity_then_nan_then_nothing():
    assert formats.E5M2_OCP.overflow == float("inf")
    assert formats.E4M3_OCP.overflow != formats.E4M3_OCP.overflow
    assert formats.E4M3.overflow is None


def test_largest_exponents_are_those_of_the_mx_specification():
    found = [getattr(formats, f"{name}").max_exponent for name in ("E5M2_OCP", "E4M3_OCP")]
    found += [formats.E3M2.max_exponent, formats.E2M3.max_exponent, formats.E2M1.max_exponent]
    assert found == [15, 8, 4, 2, 2]


def test_formats_are_equal_by_their_fields():
    assert FloatFormat(4, 3, 7) == formats.E4M3
    assert FloatFormat(4, 3, 8) != formats.E4M3
    assert len({FloatFormat(4, 3, 7), formats.E4M3}) == 1


@pytest.mark.parametrize(
    "arguments, text",
    [
        ((0, 3, 1), "exponent_bit_width is 0; it must be a whole number from 1 to 7"),
        ((4, 11, 7), "mantissa_bit_width is 11"),
        ((4, 3, 7.5), "exponent_bias is 7.5"),
        ((4, 3, 1000), "exponent_bias is 1000"),
        ((4, 3, 7, SpecialValues(codes=9)), "special.codes is 9"),
        ((4, 3, 7, SpecialValues(codes=1)), "neither infinity nor NaN"),
    ],
)
def test_numbers_outside_their_range_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        FloatFormat(*arguments)


def test_the_example_in_the_documentation_is_true():
    result = doctest.testmod(formats)
    assert result.attempted > 0
    assert result.failed == 0
