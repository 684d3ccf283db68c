"""Quantized tensors: a value with the integer grid that it lies on, and the torch functions that
keep it."""

from qat.tensor import arithmetic as arithmetic
from qat.tensor import functions as functions
from qat.tensor import joining as joining
from qat.tensor import moving as moving
from qat.tensor import pytree as pytree
from qat.tensor import resampling as resampling
from qat.tensor.quant_tensor import QuantTensor as QuantTensor
from qat.tensor.quant_tensor import unwrap as unwrap
