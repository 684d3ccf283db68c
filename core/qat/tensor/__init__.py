"""Quantized tensors: a value with the integer grid that it lies on, and the torch functions that
keep it."""

from . import arithmetic as arithmetic
from . import functions as functions
from . import joining as joining
from . import moving as moving
from . import pytree as pytree
from . import resampling as resampling
from .quant_tensor import QuantTensor as QuantTensor
