"""qat: quantization-aware training of low-bit networks; a quantizer is a declaration."""

from qat.tensor import QuantTensor as QuantTensor

__version__ = "0.1.0"
