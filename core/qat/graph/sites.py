"""Places in a traced model where quantizers can go."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import fx, nn

from qat.enums import Site
from qat.graph.functions.joins import JOIN, is_join
from qat.graph.functions.products import product_of
from qat.graph.functions.with_weight import (
    WeightFunction,
    expression_of,
    weight_function_of,
    weight_of,
)
from qat.graph.layers import (
    ACTIVATION_FUNCTIONS,
    ACTIVATION_METHODS,
    ACTIVATION_MODULES,
    ADD_FUNCTIONS,
    ADD_METHODS,
    QUANTIZED,
    RECURRENT_SITES,
    WEIGHT_LAYERS,
    Activation,
    recurrent_class,
)
from qat.graph.model import ConvertedModel
from qat.graph.on_grid import reached
from qat.graph.residual import carries_a_stream
from qat.graph.rules import Location
from qat.graph.tracing.alignment import matching_nodes
from qat.graph.tracing.names import scope_of, unique_name
from qat.graph.tracing.trace import is_torchs_own
from qat.torchscript import is_scripted

#: Sites of the quantizers of multi-head attention; see :mod:`qat.graph.attention`.
ATTENTION_SITES = frozenset({Site.WEIGHT, Site.BIAS, Site.INPUT, Site.OUTPUT})


@dataclass
class Place:
    """A location with the graph nodes that compute there.

    Args:
        location: what rules see.
        nodes: calls of one weight layer, or the one call of a function, in each graph; none in a
            module that stays Python.
        activation: the activation function, where it is one.
        module: the float module, where there is one.
        function: what it is, where it is a function called with a weight.
    """

    location: Location
    nodes: list[fx.Node]
    activation: Activation | None = None
    module: nn.Module | None = None
    function: WeightFunction | None = None


def float_layers_of(model: nn.Module) -> dict[str, str]:
    """Classes of the layers with a weight, by path, whatever their weight and forward are."""
    kinds = (*WEIGHT_LAYERS, nn.Bilinear, nn.EmbeddingBag)
    return {
        name: type(module).__name__.removeprefix("Parametrized")
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    }


def weight_layer_class(module: nn.Module) -> type[nn.Module] | None:
    """The float class that ``module`` computes as, if it is one that can be quantized.

    One whose weight is computed from other parameters (weight norm) cannot.
    """
    if is_scripted(module) or module._parameters.get("weight") is None:
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
    if module is None:
        return False
    is_layer = weight_layer_class(module) is not None or recurrent_class(module) is not None
    return is_layer or is_attention(module)


def weight_location(name: str, module: nn.Module) -> Location:
    """The location of a layer with a weight."""
    if is_attention(module):
        return Location(name, type(module).__name__, ATTENTION_SITES)
    if recurrent_class(module) is not None:
        return Location(name, type(module).__name__, RECURRENT_SITES)
    quantized = WEIGHT_LAYERS[weight_layer_class(module)]  # type: ignore[index]
    return Location(name, type(module).__name__, frozenset(quantized.sites))


def find_places(
    converted: ConvertedModel,
    whole: Container[str] = (),
    float_layers: Mapping[str, str] | None = None,
) -> list[Place]:
    """All places in the order of execution; the first and last weight layer are marked.

    Args:
        converted: a traced model; what both of its graphs compute is one place.
        whole: paths of modules that stay Python, whose layers are places without nodes.
        float_layers: classes, by path, of the layers that compute their weight or have a forward
            of their own: a function called in one is that layer.
    """
    finder = _Finder(converted, whole, float_layers or {})
    evaluation, *training = converted.graphs
    finder.look_at(evaluation, {})
    for graph in training:
        finder.look_at(graph, matching_nodes(graph, evaluation))
    places = finder.places
    mark_ends([place for place in places if Site.WEIGHT in place.location.sites])
    return places


class _Finder:
    def __init__(
        self, converted: ConvertedModel, whole: Container[str], float_layers: Mapping[str, str]
    ) -> None:
        self.converted, self.whole, self.float_layers = converted, whole, float_layers
        self.modules = dict(converted.named_modules(remove_duplicate=False))
        self.layers: dict[str, Place] = {}
        self.by_node: dict[fx.Node, Place] = {}
        self.places: list[Place] = []
        self.taken: set[str] = set()

    def look_at(self, graph: fx.Graph, same: Mapping[fx.Node, fx.Node]) -> None:
        """Find the places of ``graph``; ``same`` has the node of another one that does the same."""
        for node in graph.nodes:
            module = self.modules.get(str(node.target)) if node.op == "call_module" else None
            if module is not None and str(node.target) in self.whole:
                self._look_inside(str(node.target), module)
                continue
            known = self.by_node.get(same[node]) if node in same else None
            if module is not None and is_weight_site(module):
                known = self.layers.get(str(node.target))
            place = known or self._place_at(node, module)
            if place is None:
                continue
            if known is None and not place.nodes:  # not that of an earlier call
                self.places.append(place)
            place.nodes.append(node)
            self.by_node[node] = place

    def _look_inside(self, path: str, module: nn.Module) -> None:
        for place in places_inside(module, path):
            if place.location.name not in self.layers:
                self.layers[place.location.name] = place
                self.places.append(place)

    def _place_at(self, node: fx.Node, module: nn.Module | None) -> Place | None:
        if module is not None and is_weight_site(module):
            name = str(node.target)
            self.layers[name] = Place(weight_location(name, module), [], module=module)
            return self.layers[name]
        function = weight_function_of(self.converted, node)
        if function is not None:
            return self._function_place(node, function)
        activation = activation_of(node, module)
        if activation is not None and node.meta.get("of_input", True):
            name = self._free_name(node, activation.name.lower())
            sites, is_factor = frozenset({Site.ACTIVATION}), self._is_factor(node)
            location = Location(name, activation.name, sites, is_factor=is_factor)
            return Place(location, [], activation, module)
        if is_add(node):
            name = self._free_name(node, "add")
            stream = carries_a_stream(node)
            return Place(Location(name, "add", frozenset({Site.ADD}), is_stream=stream), [])
        product = JOIN if is_join(node) else product_of(node)
        if product is not None:
            name = self._free_name(node, product)
            return Place(Location(name, product, frozenset({Site.INPUT}), by_request=True), [])
        return None

    def _is_factor(self, node: fx.Node) -> bool:
        """Whether products read the value, and no layer, sum or concatenation does.

        What comes of it is quantized where it is used; rounding it before that only costs accuracy.
        """
        readers = reached(node, lambda each: each.users)
        called = [self.modules.get(str(x.target)) for x in readers if x.op == "call_module"]
        if any(is_weight_site(module) for module in called):
            return False
        if any(is_add(x) or is_join(x) or weight_function_of(self.converted, x) for x in readers):
            return False
        return any(product_of(x) == "mul" for x in readers)

    def _function_place(self, node: fx.Node, function: WeightFunction) -> Place:
        """That of the function; calls in one module with one weight are one place."""
        weight = weight_of(node, function)
        assert weight is not None
        key = f"{scope_of(node)} {function.kind} {expression_of(weight)}"
        if key in self.layers:
            return self.layers[key]
        around = scope_of(node).removesuffix(".")
        is_layer = around != "" and around in self.float_layers and around not in self.taken
        name = around if is_layer else self._free_name(node, function.name)
        self.taken.add(name)
        sites = {Site.WEIGHT, Site.INPUT} if function.has_grid_input else {Site.WEIGHT}
        kind = self.float_layers[around] if is_layer else function.kind
        self.layers[key] = Place(Location(name, kind, frozenset(sites)), [], function=function)
        return self.layers[key]

    def _free_name(self, node: fx.Node, function: str) -> str:
        """The module's own name at its first call; else one from the module around the call."""
        if node.op == "call_module" and str(node.target) not in self.taken:
            self.taken.add(str(node.target))
            return str(node.target)
        wanted = str(node.target) if node.op == "call_module" else f"{scope_of(node)}{function}"
        candidate, number = unique_name(self.converted, wanted), 0
        while candidate in self.taken:
            number += 1
            candidate = f"{wanted}_{number}"
        self.taken.add(candidate)
        return candidate


def places_inside(model: nn.Module, path: str = "") -> list[Place]:
    """The layers and activation functions in a module whose ``forward`` stays Python.

    Args:
        model: the module.
        path: its own, which the names of the places begin with.
    """
    places: list[Place] = []
    for name, module in parts_of(model):
        activation = ACTIVATION_MODULES.get(type(module))
        full = ".".join(filter(None, (path, name)))
        if name and is_weight_site(module):
            places.append(Place(weight_location(full, module), [], module=module))
        elif name and activation is not None:
            location = Location(full, activation.name, frozenset({Site.ACTIVATION}))
            places.append(Place(location, [], activation, module))
    return places


def parts_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules with their names, but not those inside torch's own, which use them their way."""
    inner: set[nn.Module] = set()
    for name, module in model.named_modules():
        if module in inner:
            continue
        yield name, module
        if is_torchs_own(module) or is_scripted(module) or isinstance(module, QUANTIZED):
            inner.update(module.modules())


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
    follows = node.op != "get_attr" and node.meta.get("of_input", True)
    return follows and _is_float(node.meta.get("tensor_meta"))


def gives_activations(node: fx.Node) -> bool:
    """Whether the node's value is, or is a tuple that has, a tensor as above."""
    follows = node.op != "get_attr" and node.meta.get("of_input", True)
    return follows and _has_float(node.meta.get("tensor_meta"))


def _is_float(meta: Any) -> bool:
    dtype = getattr(meta, "dtype", None)
    return dtype is not None and dtype.is_floating_point


def _has_float(meta: Any) -> bool:
    if _is_float(meta):
        return True
    return isinstance(meta, tuple | list) and any(_has_float(item) for item in meta)
