"""A QuantTensor by itself: fields, format, validity, refusals."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from qat.formats import IntFormat
from qat.tensor import QuantTensor
from qat.tensor.grid import bounds


@pytest.fixture
def x() -> QuantTensor:
    return QuantTensor(torch.tensor([[-1.0, 0.5], [3.5, -4.0]]), 0.5, 0.0, 4.0, True, False)


def test_numbers_become_tensors_of_the_dtype_of_the_value():
    x = QuantTensor(torch.zeros(2, dtype=torch.float64), 0.1, 3, 8, True)

    for field, number in ((x.scale, 0.1), (x.zero_point, 3.0), (x.bit_width, 8.0)):
        assert torch.equal(field, torch.tensor(number, dtype=torch.float64))


def test_a_zero_point_too_large_for_a_half_type_is_kept_exactly():
    x = QuantTensor(torch.zeros(2, dtype=torch.bfloat16), 0.1, 401, 16, False)

    assert x.zero_point == 401
    assert x.bit_width.dtype == torch.bfloat16


def test_tensors_are_kept_as_they_are():
    scale = torch.tensor(0.1, requires_grad=True)

    assert QuantTensor(torch.zeros(2), scale).scale is scale


def test_flags_may_be_tensors():
    x = QuantTensor(torch.zeros(2), signed=torch.tensor(True), training=torch.tensor(False))

    assert x.signed is True
    assert x.training is False
    assert torch.equal(x.signed_t, torch.tensor(True))
    assert torch.equal(x.training_t, torch.tensor(False))


def test_undefined_flags_stay_undefined():
    x = QuantTensor(torch.zeros(2))

    assert x.signed is x.signed_t is x.training is x.training_t is None


def test_it_prints_its_tensors():
    x = QuantTensor(torch.tensor([0.5, -0.5]), 0.5, 0.0, 1.0, None, True)

    assert repr(x) == (
        "QuantTensor(value=tensor([ 0.5000, -0.5000]), scale=tensor(0.5000), "
        "zero_point=tensor(0.), bit_width=tensor(1.), signed_t=None, training_t=tensor(True))"
    )


def test_a_value_that_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="value must be a torch.Tensor, not float"):
        QuantTensor(1.0)


def test_metadata_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="scale must be a torch.Tensor, a number or None, not str"):
        QuantTensor(torch.zeros(2), "0.1")
    with pytest.raises(TypeError, match="signed must be True, False, None or a tensor"):
        QuantTensor(torch.zeros(2), signed="yes")


@pytest.mark.parametrize("shape", [(3,), (2, 1, 2), (2, 3)])
def test_metadata_that_does_not_broadcast_is_refused(shape):
    with pytest.raises(ValueError, match="scale has shape .* one entry per channel"):
        QuantTensor(torch.zeros(2, 2), torch.ones(shape))


# validity and integers


def test_every_test_grid_is_valid_and_gives_its_integers_back(grid):
    x = grid.make()

    assert x.is_valid is True
    if x.dtype != torch.bfloat16:  # whose eight digits do not tell the integers of 8 bits apart
        assert torch.equal(x.int().long(), grid.integers((2, 4, 4, 4), 0))


@pytest.mark.parametrize("field", ["scale", "zero_point", "bit_width", "signed"])
def test_missing_metadata_is_invalid_and_int_says_what_is_missing(field, x):
    incomplete = x.set(**{field: None})

    assert incomplete.is_valid is False
    with pytest.raises(ValueError, match=rf"without {field}: .* \.set\({field}=\.\.\.\)"):
        incomplete.int()


def test_training_is_no_part_of_the_grid(x):
    assert x.set(training=None).is_valid


@pytest.mark.parametrize(
    "fields",
    [
        {"value": torch.tensor([0.25])},
        {"value": torch.tensor([4.0])},
        {"value": torch.tensor([-4.5])},
        {"value": torch.tensor([float("nan")])},
        {"value": torch.tensor([float("inf")])},
        {"value": torch.tensor([1])},
        {"scale": 0.0},
        {"scale": -0.3},
        {"scale": float("nan")},
        {"zero_point": 0.5},
        {"bit_width": 0.0},
        {"signed": False, "value": torch.tensor([-0.5])},
    ],
    ids=str,
)
def test_values_off_the_grid_are_invalid_and_have_no_integers(fields):
    x = QuantTensor(torch.tensor([0.5]), 0.5, 0.0, 4.0, True).set(**fields)

    assert x.is_valid is False
    with pytest.raises(ValueError, match="quantize again"):
        x.int()


@pytest.mark.parametrize(
    "value, signed, valid",
    [
        ([0.5, 0.5], True, True),
        ([-0.5, -0.5], True, True),
        ([0.5, -0.5], True, True),
        ([0.5, 0.0], True, False),
        ([1.0, -0.5], True, False),
        ([0.0, 0.5], False, True),
        ([0.0, 0.0], False, True),
        ([-0.5, 0.5], False, False),
    ],
)
def test_one_bit_is_two_values(value, signed, valid):
    assert QuantTensor(torch.tensor(value), 0.5, 0.0, 1.0, signed).is_valid is valid


def test_an_empty_tensor_is_valid():
    x = QuantTensor(torch.zeros(0, 3), 0.5, 0.0, 4.0, True)

    assert x.is_valid
    assert x.int().shape == (0, 3)


def test_values_rounded_to_a_half_type_are_valid():
    q = torch.arange(-128, 128)
    for dtype in (torch.float16, torch.bfloat16):
        scale = torch.tensor(0.0137, dtype=dtype)

        assert QuantTensor(q.to(dtype) * scale, scale, 0.0, 8.0, True).is_valid


@pytest.mark.parametrize(
    "bits, signed, dtype",
    [
        (1, True, torch.int8),
        (8, True, torch.int8),
        (8, False, torch.uint8),
        (9, True, torch.int32),
        (16, False, torch.int32),
        (32, True, torch.int32),
        (32, False, torch.int64),
        (33, True, torch.int64),
    ],
)
def test_integers_have_the_smallest_of_four_types(bits, signed, dtype):
    x = QuantTensor(torch.tensor([0.5]), 0.5, 0.0, float(bits), signed)

    assert x.int().dtype == dtype


def test_integers_carry_no_gradient():
    x = QuantTensor(torch.tensor([0.5], requires_grad=True), 0.5, 0.0, 8.0, True)

    assert not x.int().requires_grad


# the format

NARROW = IntFormat(4, narrow=True)


def test_the_format_is_that_of_the_widest_bit_width_and_the_sign(x):
    assert x.format == IntFormat(4)
    assert x.set(signed=False).format == IntFormat(4, signed=False)
    widths = torch.tensor([[2.0], [5.0]])
    assert x.set(bit_width=widths).format == IntFormat(5)


@pytest.mark.parametrize("fields", [{"bit_width": None}, {"signed": None}, {"bit_width": 65.0}])
def test_without_bits_or_sign_there_is_no_format(fields, x):
    assert x.set(**fields).format is None


def test_bits_and_sign_follow_from_an_integer_format():
    x = QuantTensor(torch.zeros(2), 0.5, 0.0, format=IntFormat(4, signed=False))

    assert (float(x.bit_width), x.signed, x.missing) == (4.0, False, [])
    assert x.set(format=NARROW).format == NARROW


@pytest.mark.parametrize("fields", [{"bit_width": 8.0}, {"signed": False}])
def test_bits_or_sign_that_contradict_the_format_are_refused(fields):
    name = next(iter(fields))
    with pytest.raises(ValueError, match=f"{name} is .*, but format is int4: leave {name} out"):
        QuantTensor(torch.zeros(2), 0.5, 0.0, format=NARROW, **fields)


def test_a_narrow_grid_stays_narrow_while_its_integers_are_its_own():
    x = QuantTensor(torch.zeros(2, 4, 4), torch.ones(2, 1, 1), 0.0, format=NARROW)
    widths = x.on_same_grid(bit_width=torch.full((2, 1, 1), 4.0))

    moved = [x.flatten(1), widths[1], x.double(), x.detach(), F.max_pool2d(x, 2), x * 0.5]
    moved += [torch.cat([widths, widths]), x.set(training=True), torch.stack([x, x]), x.chunk(2)[0]]
    assert [y.format for y in moved] == [NARROW] * len(moved)
    for y in (x + x, -x, abs(x), x * x, x.set(bit_width=4.0), torch.cat([x, x.set(signed=True)])):
        assert not y.format.narrow


def test_bounds_are_those_of_the_format():
    for bits, signed in itertools.product(range(1, 65), (True, False)):
        low, high = bounds(torch.tensor(float(bits)), signed)
        of_format = IntFormat(bits, signed)
        assert (float(low), float(high)) == (float(of_format.min_value), float(of_format.max_value))


# a tensor to its users


def test_set_shares_the_other_fields(x):
    changed = x.set(signed=False, scale=0.25)

    assert changed.value is x.value
    assert changed.bit_width is x.bit_width
    assert (changed.signed, float(changed.scale)) == (False, 0.25)
    assert x.signed is True


def test_set_refuses_unknown_fields(x):
    with pytest.raises(TypeError, match="no field scales; known: value, scale"):
        x.set(scales=1.0)


def test_it_describes_itself_like_its_value(x):
    assert x.shape == x.size() == torch.Size([2, 2])
    assert x.size(1) == x.size(dim=-1) == len(x) == x.dim() == x.ndim == 2
    assert x.numel() == x.nelement() == 4
    assert x.dtype == torch.float32
    assert x.device == torch.device("cpu")
    assert not x.is_cuda
    assert not x.requires_grad
    assert x.is_contiguous()
    assert x.tolist() == x.value.tolist()


def test_one_element_converts_to_python_numbers(x):
    element = x[1, 1]

    assert float(element) == element.item() == -4.0
    assert int(element) == -4
    assert bool(element)


def test_the_truth_of_several_elements_is_ambiguous(x):
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(x)


def test_comparisons_are_plain(x):
    for result in (x > 0, x >= 0, x < 0, x <= 0, x == 0.5, x != 0.5, x == x):
        assert type(result) is torch.Tensor
        assert result.dtype == torch.bool
    assert 0.5 in x
    assert 0.75 not in x


def test_it_can_be_a_key(x):
    assert {x: 1}[x] == 1


def test_numpy_sees_the_value(x):
    assert np.array_equal(np.asarray(x), x.value.numpy())
    assert np.array_equal(x.numpy(), x.value.numpy())


def test_a_name_that_no_tensor_has_is_an_attribute_error(x):
    with pytest.raises(AttributeError, match="'QuantTensor' object has no attribute 'quantise'"):
        _ = x.quantise


def test_backward_reaches_the_value():
    value = torch.ones(2, requires_grad=True)
    x = QuantTensor(value, 0.5, 0.0, 4.0, True)

    (x * 3.0).sum().backward()

    assert value.grad.tolist() == [3.0, 3.0]
    assert x.requires_grad
    assert not x.detach().requires_grad


def test_requires_grad_keeps_the_grid(x):
    assert x.requires_grad_() is x
    assert x.value.requires_grad
    assert x.is_valid


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_equal_the_original(duplicate, grid):
    x = grid.make()

    twin = duplicate(x)

    assert repr(twin) == repr(x)
    assert torch.equal(twin.int(), x.int())


def test_a_deep_copy_shares_no_memory(x):
    twin = copy.deepcopy(x)

    twin.value.zero_()

    assert x.value[0, 0] == -1.0


def test_one_entry_never_has_more_dimensions_than_the_value():
    x = QuantTensor(torch.zeros(2), torch.ones(1, 1, 1, 1), 0.0, 8.0, True)

    assert x.scale.shape == ()
