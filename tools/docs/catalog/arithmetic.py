"""Formulas of the arithmetics, by class of ``tensor_quant``."""

import re
from dataclasses import dataclass

from torch import nn

from qat.components import quant
from tools.docs.catalog.docstrings import behind, first_line

#: In place of the name of a class where there is no ``tensor_quant``.
NONE = "none"


@dataclass(frozen=True)
class Arithmetic:
    """What a ``tensor_quant`` computes.

    Args:
        title: what it is called.
        formula: of the value, as code.
        gradient: in words and formulas.
    """

    title: str
    formula: str
    gradient: str


_INSIDE = "to x that of the identity where nothing is clamped, else 0"
#: By the name of the class of ``tensor_quant``, in the order of the page; others say it themselves,
#: in their docstring.
ARITHMETIC = {
    "RescalingIntQuant": Arithmetic(
        "integer",
        "y = (q - z) * s,  q = clamp(round(x / s) + z, qmin, qmax)",
        f"{_INSIDE}; to s: q - z - x / s where nothing is clamped, q - z elsewhere. A scale "
        "recomputed from a weight moves with it, and its clamp lets the gradient pass.",
    ),
    "PrescaledRestrictIntQuant": Arithmetic(
        "integer, scale given", "y = q * s,  q = clamp(round(x / s), qmin, qmax)", f"{_INSIDE}."
    ),
    "DecoupledRescalingIntQuant": Arithmetic(
        "integer, two scales",
        "y = (q - z) * s,  q = clamp(round(x / p) + z, qmin, qmax)",
        f"{_INSIDE}, times s / p; to s: q - z.",
    ),
    "DecoupledRescalingIntQuantWithInput": Arithmetic(
        "integer, two scales, the input known",
        "y = (q - z) * s,  q = clamp(round_to_zero(x / p) + z, qmin, qmax)",
        f"{_INSIDE}, times s / p; to s: q - z. The scale p keeps every sum of products with the "
        "input's integers within the accumulator.",
    ),
    "FloatQuant": Arithmetic(
        "minifloat",
        "y = s * clamp(round_to_grid(x / s), -max_value, max_value)",
        f"{_INSIDE}; to s: (y - x) / s where nothing is clamped, y / s elsewhere.",
    ),
    "BinaryQuant": Arithmetic(
        "binary", "y = sign(x) * s,  sign(0) = 1", "to x that of the identity times s."
    ),
    "ClampedBinaryQuant": Arithmetic(
        "clamped binary",
        "y = sign(clamp(x, -s, s)) * s,  sign(0) = 1",
        "to x that of the identity times s, of activations 0 where |x| > s.",
    ),
    "EstimatedBinaryQuant": Arithmetic(
        "binary, estimated gradient",
        "y = sign(v) * s,  sign(0) = 1,  v = x or x prepared",
        "by name, see the docstring of each quantizer.",
    ),
    "TernaryQuant": Arithmetic(
        "ternary",
        "y = sign(x) * s where |x| > t * s, else 0",
        "to x that of the identity times s where y is not 0, else 0.",
    ),
    "TwoSidedTernaryQuant": Arithmetic(
        "ternary, a scale for either side",
        "y = p where x > d, -n where x < -d, else 0",
        "see the docstring of each quantizer.",
    ),
    "PACTQuant": Arithmetic(
        "clipped integer",
        "y = clamp(round(x / s), 0, n) * s,  s = a / n,  n = 2^b - 1",
        "to x that of the identity where 0 < x < a, else 0; to a: 1 where x >= a, else 0.",
    ),
    "DoReFaQuant": Arithmetic(
        "DoReFa",
        "y = 2 * round(n * (t + 1) / 2) / n - 1,  t = tanh(x) / max |tanh(x)|,  n = 2^b - 1",
        "that of t; straight through the rounding.",
    ),
    "TruncIntQuant": Arithmetic(
        "truncated integer",
        "y = (q - z / t) * s * t,  q = clamp(floor or round((x / s + z) / t), qmin, qmax)",
        f"{_INSIDE}.",
    ),
    "PrescaledRestrictIntQuantWithInputBitWidth": Arithmetic(
        "clamped integer", "y = (q - z) * s,  q = clamp(x / s + z, qmin, qmax)", f"{_INSIDE}."
    ),
    NONE: Arithmetic("none", "y = x", "that of the identity."),
}


def arithmetic_of(name: str) -> Arithmetic:
    """What the class ``name`` of a ``tensor_quant`` computes, by table or by its docstring."""
    if name in ARITHMETIC:
        return ARITHMETIC[name]
    part = getattr(quant, name)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Quant"))
    return Arithmetic(words, first_line(part), behind("Gradient", part))


def class_name(module: nn.Module | None) -> str:
    """Name of the class that ``module`` was made of, compiled by TorchScript or not."""
    if module is None:
        return NONE
    return str(getattr(module, "original_name", type(module).__name__))
