"""Documented path of the attribute groups for quantizers of one's own."""

from qat.quantizers.resolve.presets import SMALLEST_THRESHOLD as SMALLEST_THRESHOLD
from qat.quantizers.resolve.presets import ConstantScale as ConstantScale
from qat.quantizers.resolve.presets import LearnedFromBounds as LearnedFromBounds
from qat.quantizers.resolve.presets import LearnedFromHQO as LearnedFromHQO
from qat.quantizers.resolve.presets import LearnedFromMSE as LearnedFromMSE
from qat.quantizers.resolve.presets import LearnedFromPercentile as LearnedFromPercentile
from qat.quantizers.resolve.presets import MaxStats as MaxStats
from qat.quantizers.resolve.presets import NarrowInt8 as NarrowInt8
from qat.quantizers.resolve.presets import OneBit as OneBit
from qat.quantizers.resolve.presets import PerChannel as PerChannel
from qat.quantizers.resolve.presets import PowerOfTwo as PowerOfTwo
from qat.quantizers.resolve.presets import SignedInt8 as SignedInt8
from qat.quantizers.resolve.presets import UnsignedInt8 as UnsignedInt8
