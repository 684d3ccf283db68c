"""Half-quadratic search (HQO) for a scale, and for a zero point.

The distance ``sum |x - y|**p`` with ``p < 1``, which pays little attention to outliers, is split in
two problems that are solved in turn: the error ``e`` by shrinking what is left, ``|e| - |e|**(p-1)
/ beta``, and the scale or zero point for ``x - e``. ``beta`` grows by ``kappa`` from one iteration
to the next. The best of all iterations by ``mean |x - y|`` is kept, for each row by itself; no
gradient is taken.

Source: Badri and Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models",
https://mobiusml.github.io/hqq_blog/.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn

from qat.components.stats.both_sides import NegativeMinOrZero
from qat.components.stats.magnitude import AbsMax
from qat.components.stats.search_grid import IntSearchGrid
from qat.components.stats.wrappers import as_column, as_rows, of_rows

DEFAULT_ITERS = 40


def shrink(x: Tensor, beta: float, lp_norm: float) -> Tensor:
    """``sign(x) * max(|x| - |x|**(p-1) / beta, 0)``: 0 of small numbers, large ones as they are."""
    magnitude = torch.abs(x)
    return torch.sign(x) * torch.relu(magnitude - torch.pow(magnitude, lp_norm - 1.0) / beta)


class _HalfQuadratic(nn.Module):
    def __init__(
        self,
        search_grid_impl: IntSearchGrid,
        stats_reduce_dim: Optional[int],
        beta: float,
        kappa: float,
        lp_norm: float,
        iters: int,
    ) -> None:
        super().__init__()
        if iters < 1 or beta <= 0.0 or not 0.0 < lp_norm <= 1.0:
            raise ValueError(
                f"a half-quadratic search has {iters} iterations, beta {beta} and the norm "
                f"{lp_norm}; it needs at least 1, a positive beta, and a norm above 0 up to 1."
            )
        self.search_grid_impl = search_grid_impl
        self.stats_reduce_dim = stats_reduce_dim
        self.beta = float(beta)
        self.kappa = float(kappa)
        self.lp_norm = float(lp_norm)
        self.iters = iters
        self.lowest = NegativeMinOrZero(stats_reduce_dim)

    def next(self, near: Tensor, steps: Tensor, zero_point: Tensor, scale: Tensor) -> Tensor:
        """What solves ``near = steps * scale`` best, ``[rows, 1]``; NaN where nothing does.

        Args:
            near: ``x - e``.
            steps: ``q - zero_point``.
        """
        raise NotImplementedError("a search defines next()")

    def of_candidate(
        self, rows: Tensor, candidate: Tensor, fixed: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """``q - zero_point``, zero point and scale of what is tried."""
        raise NotImplementedError("a search defines of_candidate()")

    def best(self, rows: Tensor, start: Tensor, fixed: Tensor) -> Tensor:
        """The best of the candidates from ``start`` on, ``[rows, 1]``."""
        best = start
        candidate = start
        least = torch.full_like(start, float("inf"))
        beta = self.beta
        for _ in range(self.iters):
            steps, zero_point, scale = self.of_candidate(rows, candidate, fixed)
            error = rows - steps * scale
            distance = torch.mean(torch.abs(error), dim=1, keepdim=True)
            is_better = distance < least
            best = torch.where(is_better, candidate, best)
            least = torch.where(is_better, distance, least)
            near = rows - shrink(error, beta, self.lp_norm)
            found = self.next(near, steps, zero_point, scale)
            candidate = torch.where(torch.isfinite(found), found, candidate)
            beta *= self.kappa
        return best


class HalfQuadraticOptimizerScale(_HalfQuadratic):
    """Threshold by half-quadratic search: the scale is the median of ``(x - e) / (q - z)``.

    Args:
        search_grid_impl: the grid, an :class:`qat.components.stats.IntSearchGrid`.
        hqo_init_op_scale: statistic that the search starts at: ``AbsMax`` unless given, for grids
            with a zero point ``AbsMinMax``.
        stats_reduce_dim: see :mod:`qat.components.stats`.
        hqo_beta_scale, hqo_kappa_scale, hqo_lp_norm_scale, hqo_iters_scale: start and growth of
            ``beta``, norm ``p``, number of iterations, see the module docstring.
    """

    def __init__(
        self,
        search_grid_impl: IntSearchGrid,
        hqo_init_op_scale: Optional[nn.Module] = None,
        stats_reduce_dim: Optional[int] = None,
        hqo_beta_scale: float = 10.0,
        hqo_kappa_scale: float = 1.01,
        hqo_lp_norm_scale: float = 0.7,
        hqo_iters_scale: int = DEFAULT_ITERS,
    ) -> None:
        super().__init__(
            search_grid_impl,
            stats_reduce_dim,
            hqo_beta_scale,
            hqo_kappa_scale,
            hqo_lp_norm_scale,
            hqo_iters_scale,
        )
        given = hqo_init_op_scale
        self.hqo_init_op_scale = AbsMax(stats_reduce_dim) if given is None else given

    def of_candidate(
        self, rows: Tensor, candidate: Tensor, fixed: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        return self.search_grid_impl.quantized(rows, candidate, fixed)

    def next(self, near: Tensor, steps: Tensor, zero_point: Tensor, scale: Tensor) -> Tensor:
        ratio = torch.where((near != 0) & (steps != 0), near / steps, float("nan"))
        median = torch.nanmedian(ratio, dim=1, keepdim=True)[0]
        return torch.abs(median) * self.search_grid_impl.int_range

    def forward(self, x: Tensor) -> Tensor:
        rows = as_rows(x, self.stats_reduce_dim)
        start = as_column(self.hqo_init_op_scale(x.detach()), rows)
        lowest = as_column(self.lowest(x.detach()), rows)
        return of_rows(self.best(rows, start, lowest), self.stats_reduce_dim, x.dtype)


class HalfQuadraticOptimizerZeroPoint(_HalfQuadratic):
    """The number that a grid begins at, by half-quadratic search for a scale that is found.

    It is the mean of ``(x - e) - (q - qmin) * scale``, at most 0, from ``min(x, 0)`` on.

    Args:
        search_grid_impl: the grid, an :class:`qat.components.stats.IntSearchGrid`.
        scaling_stats_impl: the statistic that the scale is taken from.
        stats_reduce_dim: see :mod:`qat.components.stats`.
        hqo_beta_zp, hqo_kappa_zp, hqo_lp_norm_zp, hqo_iters_zp: start and growth of ``beta``, norm
            ``p``, number of iterations, see the module docstring.
    """

    def __init__(
        self,
        search_grid_impl: IntSearchGrid,
        scaling_stats_impl: nn.Module,
        stats_reduce_dim: Optional[int] = None,
        hqo_beta_zp: float = 1.0,
        hqo_kappa_zp: float = 1.01,
        hqo_lp_norm_zp: float = 0.5,
        hqo_iters_zp: int = DEFAULT_ITERS,
    ) -> None:
        super().__init__(
            search_grid_impl,
            stats_reduce_dim,
            hqo_beta_zp,
            hqo_kappa_zp,
            hqo_lp_norm_zp,
            hqo_iters_zp,
        )
        self.scaling_stats_impl = scaling_stats_impl

    def of_candidate(
        self, rows: Tensor, candidate: Tensor, fixed: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        return self.search_grid_impl.quantized(rows, fixed, candidate)

    def next(self, near: Tensor, steps: Tensor, zero_point: Tensor, scale: Tensor) -> Tensor:
        from_lowest = (steps + zero_point - self.search_grid_impl.qmin) * scale
        return torch.clamp(torch.mean(near - from_lowest, dim=1, keepdim=True), max=0.0)

    def forward(self, x: Tensor) -> Tensor:
        rows = as_rows(x, self.stats_reduce_dim)
        threshold = as_column(self.scaling_stats_impl(x.detach()), rows)
        start = as_column(self.lowest(x.detach()), rows)
        return of_rows(self.best(rows, start, threshold), self.stats_reduce_dim, x.dtype)
