"""Scales that are a learned multiple of another one."""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn

from qat.components.scaling.base import SCALAR_SHAPE, PositiveScale


class AffineStatsScaling(PositiveScale):
    """``|restrict(t * affine_weight + affine_bias)|`` for what another scaling stores, ``t``.

    ``t`` is a statistic of a parameter or of the tensors that pass by, or its logarithm where that
    is what the restriction stores. ``affine_weight`` starts at 1 and ``affine_bias``, if there is
    one, at 0: at first the scale is that of ``t``.

    Args:
        rescaled_scaling_impl: the other scaling.
        scaling_shape: shape of the scale, and of the two parameters.
        affine_shift_scale: whether there is an ``affine_bias``.
        restrict_scaling_impl, scaling_min_val: as for ``ParameterScaling``; the same restriction as
            in ``rescaled_scaling_impl``.
    Gradient: that of the formula, straight through restriction and bound.
    Source: BatchQuant, Bai et al. 2021, arXiv:2105.08952.
    """

    affine_bias: Optional[Tensor]

    def __init__(
        self,
        rescaled_scaling_impl: nn.Module,
        scaling_shape: Tuple[int, ...] = SCALAR_SHAPE,
        affine_shift_scale: bool = False,
        restrict_scaling_impl: Optional[nn.Module] = None,
        scaling_min_val: Optional[float] = None,
    ) -> None:
        super().__init__()
        self.set_restriction(restrict_scaling_impl, scaling_min_val)
        self.rescaled_scaling_impl = rescaled_scaling_impl
        self.affine_weight = nn.Parameter(torch.ones(scaling_shape))
        shift = nn.Parameter(torch.zeros(scaling_shape)) if affine_shift_scale else None
        self.register_parameter("affine_bias", shift)

    def stored(self, x: Tensor) -> Tensor:
        scaling: Any = self.rescaled_scaling_impl
        rescaled = scaling.stored(x) * self.affine_weight
        shift = self.affine_bias
        return rescaled if shift is None else rescaled + shift
