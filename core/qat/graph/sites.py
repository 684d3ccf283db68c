"""Places in a traced model where quantizers can go."""

from dataclasses import dataclass, replace
from typing import Any

from torch import fx, nn

from qat.enums import Site
from qat.graph.layers import (
    ACTIVATION_FUNCTIONS,
    ACTIVATION_METHODS,
    ACTIVATION_MODULES,
    ADD_FUNCTIONS,
    ADD_METHODS,
    WEIGHT_LAYERS,
    Activation,
)
from qat.graph.rules import Location
from qat.graph.trace import scope_of, unique_name

#: Sites of the quantizers of multi-head attention; see :mod:`qat.graph.attention`.
ATTENTION_SITES = frozenset({Site.WEIGHT, Site.BIAS, Site.INPUT, Site.OUTPUT})


@dataclass
class Place:
    """A location with the graph nodes that compute there.

    Args:
        location: what rules see.
        nodes: calls of one weight layer, or the one call of a function.
        activation: the activation function, where it is one.
        module: the float module, where there is one.
    """

    location: Location
    nodes: list[fx.Node]
    activation: Activation | None = None
    module: nn.Module | None = None


def weight_layer_class(module: nn.Module) -> type[nn.Module] | None:
    """The float class that ``module`` computes as, if it is one that can be quantized.

    One whose weight is computed from other parameters (weight norm) cannot.
    """
    if module._parameters.get("weight") is None:
        return None
    for float_class in WEIGHT_LAYERS:
        if isinstance(module, float_class) and type(module).forward is float_class.forward:
            return float_class
    return None


def is_attention(module: nn.Module | None) -> bool:
    """Whether ``module`` computes as ``torch.nn.MultiheadAttention`` does."""
    own = nn.MultiheadAttention
    return isinstance(module, own) and type(module).forward is own.forward


def is_weight_site(module: nn.Module | None) -> bool:
    """Whether ``module`` is a layer with weights that can be quantized, attention included."""
    return module is not None and (weight_layer_class(module) is not None or is_attention(module))


def weight_location(name: str, module: nn.Module) -> Location:
    """The location of a layer with a weight."""
    if is_attention(module):
        return Location(name, type(module).__name__, ATTENTION_SITES)
    quantized = WEIGHT_LAYERS[weight_layer_class(module)]  # type: ignore[index]
    return Location(name, type(module).__name__, frozenset(quantized.sites))


def find_places(traced: fx.GraphModule) -> list[Place]:
    """All places in the order of execution; the first and last weight layer are marked."""
    modules = dict(traced.named_modules())
    weights: dict[str, Place] = {}
    places: list[Place] = []
    taken: set[str] = set()
    for node in traced.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if module is not None and is_weight_site(module):
            name = str(node.target)
            if name in weights:
                weights[name].nodes.append(node)
                continue
            weights[name] = Place(weight_location(name, module), [node], module=module)
            places.append(weights[name])
            continue
        activation = activation_of(node, module)
        if activation is not None:
            name = _free_name(traced, node, activation.name.lower(), taken)
            location = Location(name, activation.name, frozenset({Site.ACTIVATION}))
            places.append(Place(location, [node], activation, module))
        elif is_add(node):
            name = _free_name(traced, node, "add", taken)
            places.append(Place(Location(name, "add", frozenset({Site.ADD})), [node]))
    mark_ends(list(weights.values()))
    return places


def mark_ends(weights: list[Place]) -> None:
    """Mark the first and the last of the weight layers, given in the order of execution."""
    for index, place in enumerate(weights):
        place.location = replace(
            place.location, is_first=index == 0, is_last=index == len(weights) - 1
        )


def activation_of(node: fx.Node, module: nn.Module | None) -> Activation | None:
    """The activation function that ``node`` computes, if it is one."""
    if node.op == "call_module" and module is not None:
        return ACTIVATION_MODULES.get(type(module))
    if node.op == "call_function":
        return ACTIVATION_FUNCTIONS.get(node.target)
    if node.op == "call_method":
        return ACTIVATION_METHODS.get(str(node.target))
    return None


def is_add(node: fx.Node) -> bool:
    """Whether ``node`` adds two tensors of activations."""
    adds = (node.op == "call_function" and node.target in ADD_FUNCTIONS) or (
        node.op == "call_method" and node.target in ADD_METHODS
    )
    if not adds or len(node.args) != 2 or node.kwargs:
        return False
    return all(isinstance(arg, fx.Node) and is_activation_tensor(arg) for arg in node.args)


def is_activation_tensor(node: fx.Node) -> bool:
    """Whether the node's value is one floating point tensor computed from the input."""
    return node.op != "get_attr" and _is_float(node.meta.get("tensor_meta"))


def gives_activations(node: fx.Node) -> bool:
    """Whether the node's value is, or is a tuple that has, a tensor as above."""
    return node.op != "get_attr" and _has_float(node.meta.get("tensor_meta"))


def _is_float(meta: Any) -> bool:
    dtype = getattr(meta, "dtype", None)
    return dtype is not None and dtype.is_floating_point


def _has_float(meta: Any) -> bool:
    if _is_float(meta):
        return True
    return isinstance(meta, tuple | list) and any(_has_float(item) for item in meta)


def _free_name(traced: fx.GraphModule, node: fx.Node, function: str, taken: set[str]) -> str:
    """The module's own name at its first call; else one made up from the module around the call."""
    if node.op == "call_module" and str(node.target) not in taken:
        taken.add(str(node.target))
        return str(node.target)
    wanted = str(node.target) if node.op == "call_module" else f"{scope_of(node)}{function}"
    candidate, number = unique_name(traced, wanted), 0
    while candidate in taken:
        number += 1
        candidate = f"{wanted}_{number}"
    taken.add(candidate)
    return candidate
