"""Quantized layers: torch's own, with quantizers."""

from .activation import QuantHardTanh as QuantHardTanh
from .activation import QuantIdentity as QuantIdentity
from .activation import QuantReLU as QuantReLU
from .activation import QuantSigmoid as QuantSigmoid
from .activation import QuantTanh as QuantTanh
from .conv import QuantConv1d as QuantConv1d
from .conv import QuantConv2d as QuantConv2d
from .conv import QuantConv3d as QuantConv3d
from .eltwise import QuantEltwiseAdd as QuantEltwiseAdd
from .linear import QuantLinear as QuantLinear
from .pool import QuantAdaptiveAvgPool2d as QuantAdaptiveAvgPool2d
from .pool import QuantAvgPool2d as QuantAvgPool2d
from .pool import QuantMaxPool2d as QuantMaxPool2d
