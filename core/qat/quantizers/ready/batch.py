"""Activation quantizers with a learned multiple of the batch's statistic as scale."""

from typing import Any

from qat.enums import ScalingImplType, StatsOp
from qat.inject import ExtendedInjector
from qat.quantizers.resolve.presets import SMALLEST_THRESHOLD, SignedInt8, UnsignedInt8
from qat.quantizers.resolve.roles import ActResolver


class BatchStats(ExtendedInjector):
    """Mean over the channels of their ``max|x|``; true average of it in evaluation."""

    scaling_impl_type = ScalingImplType.AFFINE_STATS
    scaling_stats_op = StatsOp.MAX_AVE
    scaling_stats_momentum: Any = None
    affine_shift_scale = False
    scaling_min_val: Any = SMALLEST_THRESHOLD


class BatchStats1d(BatchStats):
    """For ``[N, C, L]``."""

    scaling_stats_permute_dims = (1, 0, 2)


class BatchStats2d(BatchStats):
    """For ``[N, C, H, W]``."""

    scaling_stats_permute_dims = (1, 0, 2, 3)


class Int8ActPerTensorFloatBatchQuant1d(SignedInt8, BatchStats1d, ActResolver):
    """8 bit signed, per tensor; scale a learned multiple of the channels' mean ``max|x|``.

    For ``[N, C, L]``. Source: BatchQuant, arXiv:2105.08952.
    """


class Uint8ActPerTensorFloatBatchQuant1d(UnsignedInt8, BatchStats1d, ActResolver):
    """8 bit unsigned, per tensor; scale a learned multiple of the channels' mean ``max|x|``.

    For ``[N, C, L]``. Source: BatchQuant, arXiv:2105.08952.
    """


class Int8ActPerTensorFloatBatchQuant2d(SignedInt8, BatchStats2d, ActResolver):
    """8 bit signed, per tensor; scale a learned multiple of the channels' mean ``max|x|``.

    For ``[N, C, H, W]``. Source: BatchQuant, arXiv:2105.08952.
    """


class Uint8ActPerTensorFloatBatchQuant2d(UnsignedInt8, BatchStats2d, ActResolver):
    """8 bit unsigned, per tensor; scale a learned multiple of the channels' mean ``max|x|``.

    For ``[N, C, H, W]``. Source: BatchQuant, arXiv:2105.08952.
    """
