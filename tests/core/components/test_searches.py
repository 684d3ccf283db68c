"""Searches for thresholds and zero points against formulas in float64."""

import pytest
import torch

from qat import jit
from qat.components import (
    MSE,
    AbsMax,
    AbsMinMax,
    BitWidthConst,
    HalfQuadraticOptimizerScale,
    HalfQuadraticOptimizerZeroPoint,
    IntScaling,
    IntSearchGrid,
    KLMinimizerThreshold,
    MSEZeroPoint,
    PowerOfTwoIntScaling,
    PowerOfTwoRestrictValue,
    SignedFloatRestrictValue,
)
from qat.components.rounding import CeilSte

TINY = 2.0**-1022
#: Eager with Python's ops, and scripted with those of C++, which have tests of their own.
eager_and_scripted = pytest.mark.parametrize("backend", ["python", "jit"], indirect=True)


def symmetric(x, threshold, levels, lowest):
    """``x`` on a grid around 0 whose threshold is ``levels`` steps wide."""
    scale = max(threshold / levels, TINY)
    return torch.clamp(torch.round(x / scale), lowest, levels) * scale


def shifted(x, threshold, low, steps, is_integer=True):
    """``x`` on a grid of ``steps`` steps that is ``threshold`` wide and begins at ``low``."""
    scale = max(threshold / steps, TINY)
    zero_point = -low / scale
    if is_integer:
        zero_point = min(max(round(zero_point), 0), steps)
    q = torch.clamp(torch.round(x / scale + zero_point), 0, steps)
    return (q - zero_point) * scale


def squared(x, y):
    return float(((x - y) ** 2).sum())


def narrow(bits=4, **kwargs):
    return IntSearchGrid(bits, signed=True, narrow_range=True, **kwargs)


def unsigned(bits=4, **kwargs):
    return IntSearchGrid(bits, signed=False, narrow_range=False, is_shifted=True, **kwargs)


def two_rounds(error):
    """The best of 20 fractions, then of those that divide its neighbourhood into fifths."""
    first = min((error(i / 20), i / 20) for i in range(1, 21))[1]
    tried = [min(max(first + i / 100, 0.01), 1.0) for i in range(-4, 5)]
    return min((error(fraction), fraction) for fraction in tried)


@eager_and_scripted
def test_mse_is_the_best_of_its_two_rounds(built):
    x = torch.randn(40, dtype=torch.float64)
    largest = float(x.abs().max())
    best, _ = two_rounds(lambda f: squared(x, symmetric(x, largest * f, 7, -7)))
    threshold = built(MSE(narrow()))(x).item()
    assert squared(x, symmetric(x, threshold, 7, -7)) == pytest.approx(best, rel=1e-9)


@eager_and_scripted
def test_a_higher_power_counts_what_is_cut_off_for_more(built):
    x = torch.randn(400, dtype=torch.float64)
    largest = float(x.abs().max())

    def error(threshold, power):
        return float((x - symmetric(x, threshold, 7, -7)).abs().pow(power).sum())

    found = {p: built(MSE(narrow(), mse_power=p))(x).item() for p in (1.0, 2.0, 4.0)}
    assert found[1.0] < found[2.0] < found[4.0]
    for power, threshold in found.items():
        best, _ = two_rounds(lambda f, p=power: error(largest * f, p))
        assert error(threshold, power) == pytest.approx(best, rel=1e-9)


@eager_and_scripted
def test_mse_is_never_worse_than_the_twenty_thresholds_of_its_first_round(built):
    stats = built(MSE(narrow(3)))
    for x in torch.randn(10, 12, dtype=torch.float64):
        largest = float(x.abs().max())
        first = min(squared(x, symmetric(x, largest * i / 20, 3, -3)) for i in range(1, 21))
        assert squared(x, symmetric(x, stats(x).item(), 3, -3)) <= first * (1 + 1e-12)


@eager_and_scripted
def test_mse_of_an_interval_is_the_best_of_its_two_rounds(built):
    x = torch.randn(50, dtype=torch.float64) + 0.7
    low, width = float(x.min()), float(x.max() - x.min())
    best, fraction = two_rounds(lambda f: squared(x, shifted(x, width * f, low * f, 7)))
    threshold = built(MSE(unsigned(3), AbsMinMax()))(x).item()
    assert threshold / width == pytest.approx(fraction)
    assert squared(x, shifted(x, threshold, low * fraction, 7)) == pytest.approx(best)


@eager_and_scripted
@pytest.mark.parametrize("is_integer", [True, False], ids=["integer", "real"])
def test_mse_zero_point_is_the_best_of_its_two_rounds(is_integer, built):
    x = torch.randn(50, dtype=torch.float64) ** 3
    grid = unsigned(3, quantize_zero_point=is_integer)
    scale_stats = AbsMinMax()
    low, width = float(x.min()), float(x.max() - x.min())
    best, _ = two_rounds(lambda f: squared(x, shifted(x, width, low * f, 7, is_integer)))
    found = built(MSEZeroPoint(grid, scale_stats))(x).item()
    assert low <= found <= 0.0
    assert squared(x, shifted(x, width, found, 7, is_integer)) == pytest.approx(best, rel=1e-9)


@eager_and_scripted
def test_mse_searches_on_the_grid_of_restricted_scales(built):
    restrict = PowerOfTwoRestrictValue(CeilSte())
    grid = narrow(3, restrict_scaling_impl=restrict, int_scaling_impl=PowerOfTwoIntScaling(True))
    x = torch.tensor([0.4, -0.4, 0.3, 0.2, 4.1], dtype=torch.float64)
    errors = {t: squared(x, symmetric(x, 0.75 * t, 3, -3)) for t in (8.0, 4.0, 2.0, 1.0, 0.5, 0.25)}
    threshold = built(MSE(grid))(x)
    assert 2.0 ** torch.ceil(torch.log2(threshold)).item() == min(errors, key=errors.get)


@eager_and_scripted
def test_bipolar_search_finds_the_side_that_reaches_further(built):
    grid = IntSearchGrid(2, True, False, restrict_scaling_impl=SignedFloatRestrictValue())
    x = torch.tensor([1.0, 0.5, 0.5, -0.5])  # -2 .. 1 steps: 1 is reached with steps of -0.5 only
    assert built(MSE(grid, bipolar_search=True))(x).item() == pytest.approx(-1.0)
    assert built(MSE(grid))(x).item() > 0.0


@eager_and_scripted
def test_lower_bound_of_thresholds_holds_for_the_search(built):
    x = torch.full((6,), 1e-3)
    grid = narrow(4, scaling_min_val=0.7)  # steps of 0.1 for every threshold tried
    assert built(MSE(grid))(x).item() == pytest.approx(1e-3)  # all are equal: the widest


# Half-quadratic search


def absolute(x, y):
    return float((x - y).abs().sum())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_hqo_scale_is_no_worse_than_where_it_starts(bits):
    levels = 2 ** (bits - 1) - 1
    stats = HalfQuadraticOptimizerScale(narrow(bits))
    for x in torch.randn(5, 80, dtype=torch.float64) ** 3:
        start = absolute(x, symmetric(x, float(x.abs().max()), levels, -levels))
        assert absolute(x, symmetric(x, stats(x).item(), levels, -levels)) <= start * (1 + 1e-9)


@eager_and_scripted
def test_hqo_scale_of_few_bits_gets_better_than_the_maximum(built):
    x = torch.randn(400, dtype=torch.float64)
    largest = float(x.abs().max())
    threshold = built(HalfQuadraticOptimizerScale(narrow(3)))(x).item()
    assert threshold < largest
    assert absolute(x, symmetric(x, threshold, 3, -3)) < absolute(x, symmetric(x, largest, 3, -3))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_hqo_zero_point_is_no_worse_than_where_it_starts(bits):
    steps = 2**bits - 1
    stats = HalfQuadraticOptimizerZeroPoint(unsigned(bits, quantize_zero_point=False), AbsMinMax())
    for x in torch.randn(5, 80, dtype=torch.float64) ** 3:
        low, width = float(x.min()), float(x.max() - x.min())
        start = absolute(x, shifted(x, width, low, steps, is_integer=False))
        found = stats(x).item()
        assert found <= 0.0
        assert absolute(x, shifted(x, width, found, steps, is_integer=False)) <= start * (1 + 1e-9)


@eager_and_scripted
def test_hqo_zero_point_of_few_bits_gets_better_than_the_minimum(built):
    x = torch.randn(400, dtype=torch.float64)
    stats = HalfQuadraticOptimizerZeroPoint(unsigned(2, quantize_zero_point=False), AbsMinMax())
    low, width = float(x.min()), float(x.max() - x.min())
    found = built(stats)(x).item()
    assert absolute(x, shifted(x, width, found, 3, False)) < absolute(
        x, shifted(x, width, low, 3, False)
    )


def test_hqo_zero_point_of_a_grid_that_fits_better_above_zero_is_zero():
    # Steps of 1 that begin at 0.1 would meet nearly all, and not hold 0.
    x = torch.tensor([1.1] * 20 + [2.1] * 20 + [3.0])
    stats = HalfQuadraticOptimizerZeroPoint(unsigned(2, quantize_zero_point=False), AbsMinMax())
    assert stats(x).item() == 0.0


@pytest.mark.parametrize(
    "wrong", [{"hqo_iters_scale": 0}, {"hqo_beta_scale": 0.0}, {"hqo_lp_norm_scale": 1.5}]
)
def test_hqo_refuses_settings_that_search_nothing(wrong):
    with pytest.raises(ValueError, match="half-quadratic search .* needs at least 1, a positive"):
        HalfQuadraticOptimizerScale(narrow(), **wrong)


# All searches


def searches(stats_reduce_dim=None):
    real = unsigned(3, quantize_zero_point=False)
    return [
        MSE(narrow(), stats_reduce_dim=stats_reduce_dim),
        MSE(unsigned(), AbsMinMax(stats_reduce_dim), stats_reduce_dim),
        MSEZeroPoint(unsigned(), AbsMinMax(stats_reduce_dim), stats_reduce_dim),
        HalfQuadraticOptimizerScale(narrow(), stats_reduce_dim=stats_reduce_dim),
        HalfQuadraticOptimizerZeroPoint(real, AbsMinMax(stats_reduce_dim), stats_reduce_dim),
    ]


every_search = pytest.mark.parametrize(
    "index", range(5), ids=lambda i: type(searches()[i]).__name__
)


@eager_and_scripted
@every_search
def test_each_row_is_searched_for_itself_and_zeros_give_zero(index, built, backend):
    rows = torch.randn(3, 40)
    rows[2] = 0.0
    by_row, single = built(searches(1)[index]), built(searches()[index])
    assert jit.is_scripted(by_row) is (backend == "jit")
    found = by_row(rows)
    torch.testing.assert_close(found, torch.stack([single(row) for row in rows]))
    assert found[2].item() == 0.0


@every_search
def test_search_takes_no_gradient_and_keeps_the_dtype(index, dtype):
    x = torch.randn(30).to(dtype).requires_grad_()
    found = searches()[index](x)
    assert not found.requires_grad
    assert found.dtype == dtype and found.shape == () and bool(found.isfinite())


@pytest.mark.slow
@every_search
def test_search_compiles_as_one_graph(index):
    torch._dynamo.reset()
    search, x = searches()[index], torch.randn(60)
    compiled = torch.compile(search, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), search(x))
    torch._dynamo.reset()


def test_search_grid_checks_its_bit_width():
    with pytest.raises(ValueError, match="bit_width is 0; it must be a whole number from 1 to 32"):
        IntSearchGrid(0, True, True)


def test_search_without_iterations_is_refused():
    with pytest.raises(ValueError, match="mse_iters is 0; it must be at least 1"):
        MSE(narrow(), mse_iters=0)
    with pytest.raises(ValueError, match="mse_power is 0.0; it must be above 0"):
        MSE(narrow(), mse_power=0.0)


def test_search_grid_takes_the_integer_range_of_the_quantizer():
    assert narrow(8).int_range == 127.0
    assert unsigned(8).int_range == 255.0
    assert narrow(8, int_scaling_impl=IntScaling(True, False)).int_range == 128.0


# Divergence


def reference_kl(x, levels, bins, eps):
    """The method as its docstring states it, bin by bin."""
    magnitudes = x.abs().double()
    largest = float(magnitudes.max())
    counts = [0.0] * bins
    for each in magnitudes.tolist():
        counts[min(int(each / largest * bins), bins - 1)] += 1
    best = None
    for width in range(levels, bins + 1):
        p = counts[:width]
        p[-1] += sum(counts[width:])
        merged = width // levels
        q = [0.0] * width
        for level in range(levels):
            stop = width if level == levels - 1 else (level + 1) * merged
            members = range(level * merged, stop)
            filled = [i for i in members if p[i] > 0]
            for i in filled:
                q[i] = sum(counts[i] for i in members) / len(filled)
        smooth = []
        for histogram in (p, q):
            empty = sum(each == 0 for each in histogram)
            taken = eps * empty / max(width - empty, 1)
            raw = [each - taken if each > 0 else eps for each in histogram]
            smooth.append(torch.tensor(raw, dtype=torch.float64) / sum(raw))
        divergence = float((smooth[0] * torch.log(smooth[0] / smooth[1])).sum())
        if best is None or divergence < best[0]:
            best = divergence, width / bins * largest
    return best[1]


@eager_and_scripted
@pytest.mark.parametrize(("signed", "power"), [(True, 1), (False, 3)], ids=["signed", "unsigned"])
def test_kl_threshold_is_that_of_the_histograms(signed, power, built):
    x = torch.randn(2000) ** power
    stats = built(KLMinimizerThreshold(signed, BitWidthConst(4), num_bins=101))
    levels = 8 if signed else 16
    assert stats(x).item() == pytest.approx(reference_kl(x, levels, 101, 1e-4), rel=1e-6)


def test_kl_threshold_of_a_long_tail_lies_below_the_maximum():
    x = torch.randn(5000) ** 5
    assert KLMinimizerThreshold(True, BitWidthConst(4))(x) < AbsMax()(x)


def test_kl_threshold_of_zeros_and_of_more_levels_than_bins():
    assert KLMinimizerThreshold(True, BitWidthConst(4))(torch.zeros(4)).item() == 0.0
    wide = KLMinimizerThreshold(True, BitWidthConst(16), num_bins=50)
    assert wide(torch.tensor([1.0, -3.0])).item() == pytest.approx(3.0)


def test_kl_histogram_of_one_bin_is_refused():
    with pytest.raises(ValueError, match="num_bins is 1; it must be at least 2"):
        KLMinimizerThreshold(True, BitWidthConst(4), num_bins=1)
