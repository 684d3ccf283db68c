"""Integers in bytes: round trips, and the layout by hand."""

import pytest
import torch

from qat.formats import IntFormat
from qat.ops.packed import pack_bits, unpack_bits

FORMATS = [
    IntFormat(bits, signed, narrow)
    for bits in range(1, 9)
    for signed in (True, False)
    for narrow in (False, True)
    if not (bits == 1 and narrow)
]


def every_integer(format):
    integers = torch.arange(format.min_value, format.max_value + 1)
    return integers[integers != 0] if format.is_binary else integers


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_unpacking_gives_the_integers_back(format, count):
    choices = every_integer(format)
    picks = torch.randint(len(choices), (count,), generator=torch.Generator().manual_seed(count))
    integers = choices[picks]

    packed = pack_bits(integers, format)

    assert packed.dtype == torch.uint8 and packed.numel() == -(-count * format.bits // 8)
    assert torch.equal(unpack_bits(packed, format, count).long(), integers)


def test_four_and_two_bits_lie_as_in_onnx_low_half_first():
    assert pack_bits(torch.tensor([1, -2]), IntFormat(4)).tolist() == [0xE1]
    assert pack_bits(torch.tensor([1, -2, -1, 0]), IntFormat(2)).tolist() == [0b00111001]


def test_binary_numbers_are_one_bit_each_set_for_plus_one():
    assert pack_bits(torch.tensor([1, -1, 1, 1, -1, -1, -1, -1, 1]), IntFormat(1)).tolist() == [
        0b00001101,
        1,
    ]


def test_shape_and_strides_of_the_integers_do_not_matter():
    grid = torch.tensor([[1, 2], [3, -4]])
    assert torch.equal(
        pack_bits(grid.t(), IntFormat(3)), pack_bits(torch.tensor([1, 3, 2, -4]), IntFormat(3))
    )


@pytest.mark.parametrize(
    "integers, format",
    [
        ([8], IntFormat(4)),
        ([-8], IntFormat(4, narrow=True)),
        ([-1], IntFormat(4, False)),
        ([0], IntFormat(1)),
    ],
    ids=str,
)
def test_an_integer_outside_of_the_format_is_refused(integers, format):
    with pytest.raises(ValueError, match=f"not all on the grid of {format.name}"):
        pack_bits(torch.tensor(integers), format)


def test_more_than_a_byte_and_a_wrong_length_are_refused():
    with pytest.raises(ValueError, match="int9 has 9 bits; up to 8 are packed"):
        pack_bits(torch.tensor([0]), IntFormat(9))
    with pytest.raises(ValueError, match="5 integers of 4 bit take 3 bytes, but there are 2"):
        unpack_bits(torch.zeros(2, dtype=torch.uint8), IntFormat(4), 5)
