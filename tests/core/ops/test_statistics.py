"""Order statistics against sorting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qat import config, ops

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def by_sorting(x, k):
    return x.abs().flatten().sort(descending=True).values[k - 1]  # NaN comes first


def assert_found(x, k):
    found = ops.abs_kth_largest(x, k)
    assert (found.dtype, found.shape) == (x.dtype, ())
    torch.testing.assert_close(found, by_sorting(x, k), rtol=0, atol=0, equal_nan=True)


def ranks(count):
    wanted = {1, 2, 11, count // 256, count // 50, count // 2, count - 1, count}
    return sorted(k for k in wanted if 1 <= k <= count)


@every_dtype
@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 63, 255, 1000, 4096, 5000])
def test_value_is_that_of_sorting(count, dtype, backend):
    x = torch.randn(count).to(dtype)
    for k in ranks(count):
        assert_found(x, k)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=300), st.data(), st.sampled_from(DTYPES))
@pytest.mark.parametrize("name", ["python", "native"])
def test_any_floats_are_ordered_as_by_sorting(name, values, data, dtype):
    if name == "native":
        ops.ensure_registered()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "JIT_ENABLED", False)
        patch.setattr(config, "NATIVE_STE_BACKEND_ENABLED", name == "native")
        x = torch.tensor(values, dtype=torch.float64).to(dtype)
        assert_found(x, data.draw(st.integers(1, len(values)), label="k"))


LARGE = 30_011
PATTERNS = {
    "ascending": torch.arange(LARGE) / 64,
    "descending": torch.arange(LARGE).flip(0) / 64,
    "largest of each block last": (torch.arange(LARGE) % 32) * 1000.0 + torch.arange(LARGE) / 64,
    "constant": torch.full((LARGE,), -2.5),
    "zeros of both signs": torch.tensor([0.0, -0.0]).repeat(LARGE),
    "ties": torch.randint(-3, 4, (LARGE,)).float(),
    "mostly zero": torch.relu(torch.randn(LARGE) - 3),
    "infinite": torch.cat([torch.randn(LARGE), torch.tensor([torch.inf, -torch.inf])]),
    "NaN": torch.cat([torch.tensor([torch.nan]), torch.randn(LARGE), torch.tensor([-torch.nan])]),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_value_is_that_of_sorting_for_awkward_data(name, backend):
    for k in (1, 2, 3, 11, 105, 1050, 10_000, LARGE):
        assert_found(PATTERNS[name], k)


def test_maximum_of_zeros_is_positive_zero(backend):
    assert not torch.signbit(ops.abs_kth_largest(torch.tensor([-0.0, -0.0]), 1))


LAYOUTS = {
    "channels last": torch.randn(2, 3, 20, 20).to(memory_format=torch.channels_last),
    "transposed": torch.randn(40, 60).t(),
    "every other": torch.randn(3000)[::2],
    "part": torch.randn(40, 60)[3:30, 5:50],
    "expanded": torch.randn(40, 1).expand(40, 60),
    "with an offset": torch.randn(3001)[1:],
    "0-dimensional": torch.tensor(-3.0),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_read(name, backend):
    x = LAYOUTS[name]
    for k in ranks(x.numel()):
        assert_found(x, k)


def test_threads_do_not_change_the_value(backend):
    x = torch.randn(300_001)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for k in (1, 11, 300, 5000, 150_000, 300_001):
                assert_found(x, k)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("k", [1, 7, 3000])
def test_no_gradient_is_taken(k, backend):
    x = torch.randn(5000, requires_grad=True)
    assert not ops.abs_kth_largest(x, k).requires_grad
    assert not ops.abs_kth_largest_of_rows(x.reshape(5, -1), min(k, 1000)).requires_grad


@pytest.mark.parametrize(("k", "count"), [(0, 3), (-1, 3), (4, 3), (1, 0), (0, 0)])
def test_rank_outside_the_elements_is_refused(k, count, backend):
    message = f"k is {k} for {count} elements; it must be from 1 to their number"
    with pytest.raises(ValueError, match=message):
        ops.abs_kth_largest(torch.zeros(count), k)
    with pytest.raises(ValueError, match=message):
        ops.abs_kth_largest_of_rows(torch.zeros(2, count), k)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64], ids=str)
def test_other_dtypes_are_refused(dtype, backend):
    with pytest.raises(TypeError, match="needs a float16, bfloat16, float32 or float64 tensor"):
        ops.abs_kth_largest(torch.zeros(3).to(dtype), 1)


@every_dtype
@pytest.mark.parametrize("elements", [1, 7, 300, 5001])
def test_each_row_is_treated_for_itself(elements, dtype):
    rows = torch.randn(3, elements).to(dtype)
    for k in ranks(elements):
        found = ops.abs_kth_largest_of_rows(rows, k)
        assert found.dtype == dtype
        assert torch.equal(found, torch.stack([by_sorting(row, k) for row in rows]))


# Under the machinery of torch


@pytest.mark.parametrize("k", [1, 5, 399])
def test_composite_of_other_devices_gives_the_same(k, use_backend):
    use_backend("native")
    x = torch.cat([torch.randn(399), torch.tensor([torch.nan])])
    op = torch.ops.qat.abs_kth_largest.default
    composite = op._op_dk(torch._C.DispatchKey.CompositeExplicitAutograd, x, k)
    torch.testing.assert_close(composite, by_sorting(x, k), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("k", [1, 3])
def test_compiles_as_one_graph_for_any_length(k, toolchain):
    torch._dynamo.reset()
    whole = torch.compile(ops.abs_kth_largest, fullgraph=True, backend="aot_eager", dynamic=True)
    rows = torch.compile(
        ops.abs_kth_largest_of_rows, fullgraph=True, backend="aot_eager", dynamic=True
    )
    for count in (1000, 1001, 6000):
        x = torch.randn(count)
        assert torch.equal(whole(x, k), by_sorting(x, k))
        assert torch.equal(rows(x.reshape(1, -1), k), by_sorting(x, k).reshape(1))
    torch._dynamo.reset()
