"""Weight quantizers with a scale and zero point per group of neighbours."""

from qat.enums import ScalingPerOutputType
from qat.inject import ExtendedInjector
from qat.quantizers.ready.shifted import (
    ShiftedUint8WeightPerTensorFloat,
    ShiftedUint8WeightPerTensorFloatHQO,
)


class PerGroup(ExtendedInjector):
    """Groups of 32 neighbours along the input channels, unless others are given."""

    scaling_per_output_type = ScalingPerOutputType.GROUP
    group_size = 32


class ShiftedUint8WeightGroupQuantFloat(PerGroup, ShiftedUint8WeightPerTensorFloat):
    """8 bit unsigned with zero point, per group of 32; ``(max w - min w) / 255``, recomputed."""


class ShiftedUint8WeightPerGroupFloatHQO(PerGroup, ShiftedUint8WeightPerTensorFloatHQO):
    """8 bit unsigned with learned real zero point from a half-quadratic search on, per group."""
