"""Threshold by the divergence of two histograms."""

import torch
from torch import Tensor, nn

from qat.components.stats.magnitude import largest_magnitude
from qat.components.stats.wrappers import widened
from qat.ops import max_int


class KLMinimizerThreshold(nn.Module):
    """Threshold that loses the least information, by histograms of ``|x|``; one for the tensor.

    The magnitudes up to ``max |x|`` are counted in ``num_bins`` bins of equal width. For each ``i``
    from the number of levels of the grid to ``num_bins``, ``P`` is the first ``i`` bins with all
    that lies above added to the last; ``Q`` is the first ``i`` bins merged into the levels, each
    level spread evenly over those of its bins that hold anything. The threshold is the upper edge
    of the bin ``i`` for which ``sum P * log(P / Q)`` is least, both smoothed: empty bins get
    ``smoothing_eps``, which is taken from the others. No gradient is taken.

    Args:
        signed: whether the grid has a negative side; levels are counted on the positive one.
        bit_width_impl: bit width of the grid, called when this is built.
        num_bins: bins of the histogram, at least 2.
        smoothing_eps: see above.

    Source: Migacz 2017, "8-bit Inference with TensorRT", GPU Technology Conference.
    """

    def __init__(
        self,
        signed: bool,
        bit_width_impl: nn.Module,
        num_bins: int = 1001,
        smoothing_eps: float = 1e-4,
    ) -> None:
        super().__init__()
        if num_bins < 2:
            raise ValueError(f"num_bins is {num_bins}; it must be at least 2.")
        levels = int(max_int(signed, False, bit_width_impl())) + 1
        self.levels = min(levels, num_bins)
        self.num_bins = num_bins
        self.smoothing_eps = float(smoothing_eps)

    def forward(self, x: Tensor) -> Tensor:
        magnitudes = widened(torch.abs(x.detach())).reshape(-1)
        largest = largest_magnitude(magnitudes, None)
        per_bin = torch.clamp(magnitudes / largest * self.num_bins, 0, self.num_bins - 1)
        index = torch.nan_to_num(per_bin).to(torch.int64)
        ones = torch.ones_like(magnitudes, dtype=torch.float64)  # float32 counts to 2**24 only
        counts = torch.zeros([self.num_bins], dtype=ones.dtype, device=ones.device)
        counts = counts.scatter_add(0, index, ones)
        return (largest * self._best_fraction(counts)).to(x.dtype)

    def _best_fraction(self, counts: Tensor) -> Tensor:
        bins = torch.arange(self.num_bins, device=counts.device)
        # One row per window: the first i bins, i = levels .. num_bins.
        widths = torch.arange(self.levels, self.num_bins + 1, device=counts.device).unsqueeze(1)
        is_inside = bins < widths
        inside = torch.where(is_inside, counts, 0.0)
        outside = torch.sum(counts) - torch.sum(inside, dim=1, keepdim=True)
        p = inside + torch.where(bins == widths - 1, outside, 0.0)
        merged = torch.div(widths, self.levels, rounding_mode="floor")
        level = torch.clamp(torch.div(bins, merged, rounding_mode="floor"), max=self.levels - 1)
        is_filled = (p > 0).to(counts.dtype)
        zeros = torch.zeros([widths.shape[0], self.levels], dtype=p.dtype, device=p.device)
        per_level = zeros.scatter_add(1, level, inside)
        filled = zeros.scatter_add(1, level, is_filled)
        q = per_level.gather(1, level) / torch.clamp(filled.gather(1, level), min=1.0) * is_filled
        divergence = self._divergence(self._smoothed(p, is_inside), self._smoothed(q, is_inside))
        return widths[torch.argmin(divergence)].reshape([]) / self.num_bins

    def _smoothed(self, counts: Tensor, is_inside: Tensor) -> Tensor:
        is_empty = torch.logical_and(counts == 0, is_inside).to(counts.dtype)
        empty = torch.sum(is_empty, dim=1, keepdim=True)
        filled = torch.sum((counts > 0).to(counts.dtype), dim=1, keepdim=True)
        taken = self.smoothing_eps * empty / torch.clamp(filled, min=1.0)
        smooth = torch.where(counts > 0, counts - taken, self.smoothing_eps * is_empty)
        return smooth / torch.sum(smooth, dim=1, keepdim=True)

    def _divergence(self, p: Tensor, q: Tensor) -> Tensor:
        terms = torch.where(p > 0, p * torch.log(p / q), 0.0)  # p and q are 0 outside the window
        return torch.nan_to_num(torch.sum(terms, dim=1), nan=float("inf"))
