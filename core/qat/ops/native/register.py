"""Python registrations of the ``qat::`` ops, for TorchScript where no C++ compiler is found.

The schemas are those of ``csrc/registration.cpp``. Only one of the two may be registered in a
process.
"""

import torch

from qat.ops.reference import all_ops as python_ops
from qat.ops.reference import estimators as estimators_python
from qat.ops.reference import minifloat as float_python

SCHEMAS = (
    "round_ste(Tensor x) -> Tensor",
    "ceil_ste(Tensor x) -> Tensor",
    "floor_ste(Tensor x) -> Tensor",
    "round_to_zero_ste(Tensor x) -> Tensor",
    "dpu_round_ste(Tensor x) -> Tensor",
    "binary_sign_ste(Tensor x) -> Tensor",
    "ternary_sign_ste(Tensor x) -> Tensor",
    "scalar_clamp_ste(Tensor x, float lo, float hi) -> Tensor",
    "scalar_clamp_min_ste(Tensor x, float lo) -> Tensor",
    "tensor_clamp(Tensor x, Tensor lo, Tensor hi) -> Tensor",
    "tensor_clamp_ste(Tensor x, Tensor lo, Tensor hi) -> Tensor",
    "tensor_clamp_ste_(Tensor(a!) x, Tensor lo, Tensor hi) -> Tensor(a!)",
    "abs_binary_sign_grad(Tensor x) -> Tensor",
    "positive_ste(Tensor x, float lo) -> Tensor",
    "scale_from_threshold(Tensor threshold, Tensor int_range) -> Tensor",
    "int_fake_quantize(Tensor x, Tensor scale, Tensor zero_point, Tensor bit_width, bool signed, "
    "bool narrow_range, bool clipped, float? lo=None, float? hi=None) -> Tensor",
    "threshold_int_fake_quantize(Tensor x, Tensor stored, float smallest, Tensor int_range, "
    "Tensor zero_point, Tensor bit_width, bool signed, bool narrow_range, bool clipped, "
    "float? lo=None, float? hi=None) -> (Tensor, Tensor)",
    "maximum_int_fake_quantize(Tensor x, int rows, int[] shape, float smallest, Tensor int_range, "
    "Tensor zero_point, Tensor bit_width, bool signed, bool narrow_range, bool clipped) "
    "-> (Tensor, Tensor)",
    "binary_fake_quantize(Tensor x, Tensor scale, bool clipped, float? lo=None, float? hi=None) "
    "-> Tensor",
    "ternary_fake_quantize(Tensor x, Tensor scale, float threshold, float? lo=None, "
    "float? hi=None) -> Tensor",
    "abs_kth_largest(Tensor x, int k) -> Tensor",
)

#: Ops that have no C++ implementation, whichever backend is active.
PYTHON_ONLY = {
    "float_step(Tensor v, int mantissa_bits, int min_exponent) -> Tensor": float_python.float_step,
    "float_fake_quantize(Tensor x, Tensor scale, int mantissa_bits, int min_exponent, "
    "float min_value, float max_value, float? overflow, bool clipped) -> Tensor": (
        float_python.float_fake_quantize
    ),
    **estimators_python.OPS,
}

# A registration lasts as long as its Library object.
_libraries: list[torch.library.Library] = []
_fragments: list[torch.library.Library] = []


def register_python_ops() -> None:
    """Register every op with its Python implementation; does nothing the second time."""
    if _libraries:
        return
    library = torch.library.Library("qat", "DEF")
    for schema in SCHEMAS:
        name = library.define(schema)
        library.impl(name, getattr(python_ops, name), "CompositeImplicitAutograd")
    _libraries.append(library)


def register_python_only_ops() -> None:
    """Register the ops that every backend takes from Python; nothing the second time."""
    if _fragments:
        return
    library = torch.library.Library("qat", "FRAGMENT")
    for schema, implementation in PYTHON_ONLY.items():
        library.impl(library.define(schema), implementation, "CompositeImplicitAutograd")
    _fragments.append(library)
