"""Conversion of models that do not trace: module by module.

Functions in their ``forward`` stay in float, which is said in the notes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from qat.enums import Site
from qat.graph.attention import attention_rows, build_attention
from qat.graph.bias_scale import pass_scales_to_biases
from qat.graph.build import build_activation, build_weight_layer
from qat.graph.float_parts import module_notes
from qat.graph.hooks import move_hooks
from qat.graph.layers import FUNCTION_NAMES, recurrent_class
from qat.graph.on_grid import GRID_KEEPING_FUNCTIONS, GRID_KEEPING_METHODS
from qat.graph.report import LayerReport, Quantized, describe, weight_row
from qat.graph.rules import Decision, Rule, decide
from qat.graph.sites import Place, mark_ends, parts_of, places_inside
from qat.graph.tracing.copying import copy_sharing_tensors, copy_with_own_tensors
from qat.graph.tracing.trace import Example, is_torchs_own
from qat.nn.modes import modes_kept

_KEEP_GRID = {function.__name__ for function in GRID_KEEPING_FUNCTIONS} | {
    *GRID_KEEPING_METHODS,
    "get",  # a property: x.T, x.shape
}


def quantize_modules(
    model: nn.Module, rules: Sequence[Rule], example_input: Example, reason: str
) -> Quantized:
    """Convert module by module; ``reason`` is why the model does not trace."""
    converted = copy_sharing_tensors(model)
    places = places_inside(converted)
    mark_ends([place for place in places if Site.WEIGHT in place.location.sites])
    decisions = decide(rules, [place.location for place in places])
    rows = [
        row
        for place in places
        for row in convert_inside(converted, place, decisions[place.location.name])
    ]
    pass_scales_to_biases(converted)
    notes = [f"the model does not trace ({reason}): only its modules are quantized"]
    stays = _functions_in_forward(model, example_input)
    if stays:
        notes.append(f"in float, as functions in forward: {stays}")
    notes += module_notes(parts_of(converted))
    return Quantized(converted, rows, notes)


def convert_inside(model: nn.Module, place: Place, decision: Decision) -> list[LayerReport]:
    """Replace the module of a place that no graph calls; returns its rows."""
    assert place.module is not None
    names = [
        name
        for name, module in model.named_modules(remove_duplicate=False)
        if module is place.module
    ]
    replacement, rows = _build(place, decision)
    if replacement is not None:
        move_hooks(place.module, replacement)
        for name in names:
            model.set_submodule(name, replacement)
    return rows


def _build(place: Place, decision: Decision) -> tuple[nn.Module | None, list[LayerReport]]:
    """The module in its place, None where the float one stays, and its rows."""
    name, module = place.location.name, place.module
    assert module is not None
    in_float = LayerReport(name, place.location.module_type, "float", "-", "-")
    if place.activation is not None:
        activation = build_activation(name, place.activation, module, decision)
        act = getattr(activation, "act_quant", None)
        shown = describe(act) if act is not None else "float"
        return activation, [LayerReport(name, type(activation).__name__, "-", "-", shown)]
    if isinstance(module, nn.MultiheadAttention):
        attention = build_attention(name, module, decision, input_on_grid=False)
        return attention, [in_float] if attention is None else attention_rows(name, attention, "")
    if recurrent_class(module) is not None:
        # What it is given is not known: a packed sequence, it may be.
        return None, [replace(in_float, note="called from Python, perhaps with a packed sequence")]
    layer = build_weight_layer(name, module, decision, input_on_grid=False)
    if not layer.has_quantizers():
        return None, [in_float]
    return layer, [weight_row(name, type(layer).__name__, layer.proxies(), "")]


class _Watch(TorchFunctionMode):
    """Counts the functions called outside of torch's own modules that give float tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.depth = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.depth == 0 and _has_floats(result):
            name = FUNCTION_NAMES.get(func) or str(func.__name__).strip("_")
            if name not in _KEEP_GRID:
                self.seen[name] += 1
        return result


def _has_floats(result: Any) -> bool:
    if isinstance(result, Tensor):
        return result.is_floating_point() and result.dim() > 0
    return isinstance(result, tuple | list) and any(_has_floats(item) for item in result)


def _functions_in_forward(model: nn.Module, example_input: Example) -> str:
    watch = _Watch()

    def enter(*_: Any) -> None:
        watch.depth += 1

    def leave(*_: Any) -> None:
        watch.depth -= 1

    model = copy_with_own_tensors(model)  # it may write into its parameters
    own = [module for module in model.modules() if is_torchs_own(module)]
    hooks = [module.register_forward_pre_hook(enter) for module in own]
    hooks += [module.register_forward_hook(leave) for module in own]
    try:
        with modes_kept(model), torch.no_grad(), watch:
            model.eval()
            model(*example_input) if isinstance(example_input, tuple) else model(example_input)
    except Exception as error:  # the user's own forward: report, the engine will meet it again
        return f"unknown, since forward raises {type(error).__name__}: {error}"
    finally:
        for hook in hooks:
            hook.remove()
    return ", ".join(f"{name} ({count} calls)" for name, count in watch.seen.items())
