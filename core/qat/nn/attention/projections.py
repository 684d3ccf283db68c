"""Projections of multi-head attention.

Queries, keys and values come from one packed weight or from three.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from qat.nn.base.checks import check_names
from qat.nn.base.make_proxy import Quantizer
from qat.nn.base.shared_weights import require_scales
from qat.nn.linear import QuantLinear
from qat.tensor import QuantTensor, unwrap

Given = Tensor | QuantTensor


class PackedProjection(QuantLinear):
    """Queries, keys and values from one weight [3 E, E]: one scale for all where it is per tensor.

    Where the three inputs are one, so is the matrix product.
    """

    def project(self, query: Given, key: Given, value: Given) -> tuple[Tensor, ...]:
        """Queries, keys and values, [length, N, E] each."""
        if query is key and key is value:
            return unwrap(self(query)).chunk(3, dim=-1)
        weight = self.weight_quant(self.weight)
        weights = weight.value.chunk(3)
        inputs = [self.input_quant(query), self.input_quant(key)]
        inputs.append(inputs[1] if value is key else self.input_quant(value))
        if self.bias is None:
            return tuple(F.linear(unwrap(x), w) for x, w in zip(inputs, weights, strict=True))
        biases = [unwrap(self._quantize_bias(x, weight)).chunk(3)[i] for i, x in enumerate(inputs)]
        each = zip(inputs, weights, biases, strict=True)
        return tuple(F.linear(unwrap(x), w, b) for x, w, b in each)


def check_projection(
    name: str,
    quantizers: dict[str, Quantizer],
    overrides: dict[str, Any],
    roles: tuple[str, ...],
    scale_sources: tuple[str, ...],
) -> None:
    """Refuse attributes of no quantizer of the projection, and a bias without its scale.

    Args:
        name: the projection, as the arguments of attention name it.
        quantizers: injector, proxy or None by argument of ``QuantLinear``.
        overrides: attributes that replace theirs, without ``name`` in front.
        roles: what attributes may start with.
        scale_sources: the arguments that a bias may take its scale from.
    Raises:
        TypeError: an attribute that starts with no role.
        ValueError: ``bias_quant`` needs a scale, and a quantizer it would take it from is None.
    """
    kind = "QuantMultiheadAttention"
    given = [f"{name}_{attribute}" for attribute in overrides]
    check_names(kind, given, [f"{name}_{role}_" for role in roles])
    sources = {f"{name}_{source}": quantizers[source] for source in scale_sources}
    bias_quant = quantizers["bias_quant"]
    require_scales(kind, f"{name}_bias_quant", bias_quant, overrides, sources)


def in_projections(
    layer: nn.MultiheadAttention, packed: bool
) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Weight and bias of the projections by name, as parameters of ``layer`` or parts of them."""
    if packed:
        return {"in_proj": (layer.in_proj_weight, layer.in_proj_bias)}
    separate: Any = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
    weights = separate if layer.in_proj_weight is None else layer.in_proj_weight.detach().chunk(3)
    bias = layer.in_proj_bias
    biases: Any = [None] * 3 if bias is None else bias.detach().chunk(3)
    names = ("q_proj", "k_proj", "v_proj")
    return {name: pair for name, *pair in zip(names, weights, biases, strict=True)}  # type: ignore[misc]


def rename_projections(state_dict: dict[str, Tensor], prefix: str, packed: bool) -> None:
    """Bring the keys of a state dict of torch's layer to those of the projections, in place."""
    names = ["in_proj"] if packed else ["q_proj", "k_proj", "v_proj"]
    for kind in ("weight", "bias"):
        together = state_dict.pop(f"{prefix}in_proj_{kind}", None)
        if together is not None:
            for name, part in zip(names, together.chunk(len(names)), strict=True):
                state_dict[f"{prefix}{name}.{kind}"] = part
    for name in names:
        separate = state_dict.pop(f"{prefix}{name}_weight", None)
        if separate is not None:
            state_dict[f"{prefix}{name}.weight"] = separate


def linear_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A float layer with these as its parameters."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    use_parameters(linear, weight, bias)
    return linear


def use_parameters(layer: Any, weight: Tensor, bias: Tensor | None) -> None:
    """Give ``layer`` these parameters themselves, or copies where they are parts of others."""
    layer.weight = _parameter(weight)
    layer.bias = None if bias is None else _parameter(bias)


def _parameter(tensor: Tensor) -> nn.Parameter:
    return tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor.clone())
