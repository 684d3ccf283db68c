"""Quantized tensors: values with their grid, and the functions that keep it."""

from qat.tensor import arithmetic as arithmetic
from qat.tensor import functions as functions
from qat.tensor import pytree as pytree
from qat.tensor import resampling as resampling
from qat.tensor import shape_ops as shape_ops
from qat.tensor.quant_tensor import QuantTensor as QuantTensor
from qat.tensor.quant_tensor import unwrap as unwrap
