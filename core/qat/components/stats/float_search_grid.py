"""The minifloat grid that a search tries thresholds on."""

from typing import Any, Optional

import torch
from torch import Tensor, nn

from qat.components.restrict import FloatRestrictValue
from qat.formats import FloatFormat
from qat.ops import float_step, smallest_normal


class FloatSearchGrid(nn.Module):
    """Rows quantized to a minifloat format, by a threshold each, as ``FloatQuant`` does it.

    Called ``(rows, threshold, lowest)`` as :class:`qat.components.stats.IntSearchGrid` is; there
    is no zero point, so ``lowest`` plays no part.

    Args:
        float_format: the grid.
        float_scaling_impl: its ``divisor`` makes a threshold a scale; it is one where None.
        restrict_scaling_impl: the set that scales are restricted to; any float unless given.
        scaling_min_val: lower bound of a threshold.
    """

    def __init__(
        self,
        float_format: FloatFormat,
        float_scaling_impl: Optional[Any] = None,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__()
        self.mantissa_bits = float_format.mantissa_bits
        self.min_exponent = float_format.min_exponent
        self.lowest = float_format.min_value
        self.highest = float_format.max_value
        self.divisor = 1.0 if float_scaling_impl is None else float_scaling_impl.divisor
        restrict = FloatRestrictValue() if restrict_scaling_impl is None else restrict_scaling_impl
        self.restrict_scaling = restrict
        self.restrict_preprocess = restrict.preprocess()  # type: ignore[operator]
        self.smallest = 0.0 if scaling_min_val is None else float(scaling_min_val)

    def forward(self, rows: Tensor, threshold: Tensor, lowest: Tensor) -> Tensor:
        restricted = self.restrict_scaling(self.restrict_preprocess(threshold))
        scale = torch.clamp(torch.abs(restricted), min=self.smallest) / self.divisor
        scale = torch.clamp(scale, min=smallest_normal(scale))
        v = torch.clamp(rows / scale, self.lowest, self.highest)
        step = float_step(v, self.mantissa_bits, self.min_exponent)
        return torch.round(v / step) * step * scale
