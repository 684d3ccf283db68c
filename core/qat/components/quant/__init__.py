"""Complete quantizers: what a ``tensor_quant`` is."""

from .binary import BinaryQuant as BinaryQuant
from .binary import ClampedBinaryQuant as ClampedBinaryQuant
from .int import IntQuant as IntQuant
from .int import PrescaledRestrictIntQuant as PrescaledRestrictIntQuant
from .int import RescalingIntQuant as RescalingIntQuant
from .ternary import TernaryQuant as TernaryQuant
