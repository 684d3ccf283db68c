"""Batch norms folded into the layers before them."""

import copy
from typing import Any

from torch import fx, nn

from qat.graph.model import ConvertedModel
from qat.graph.sites import weight_layer_class
from qat.graph.tracing.trace import Example, trace
from qat.nn.base.merge_bn import merge_batch_norm, output_channels
from qat.nn.base.weight_layer import QuantWeightLayer
from qat.nn.modes import modes_kept

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def merge_batch_norms(model: nn.Module, example_input: Example | None = None) -> fx.GraphModule:
    """A copy of ``model`` without the batch norms that are right behind a layer with a weight.

    Convolutions, transposed convolutions and linear layers, of torch or of ``qat.nn``, take them
    in: in evaluation the copy gives what ``model`` gives, but for what quantizing the new weights
    changes. In training it normalizes no more. A batch norm stays where it has no running
    statistics, where the layer is called twice, shares its parameters or quantizes its output, and
    where something else reads what the layer gives.

    Args:
        model: in float or quantized. Not changed; the copy has tensors of its own.
        example_input: one batch as the model takes it, to trace it by; may be left out for a
            ``torch.fx.GraphModule``, such as ``quantize_model`` gives.
    Raises:
        ValueError: there is no ``example_input``, and ``model`` is not a graph.
        TraceFailure: the model's Python code depends on data.
    """
    merged = _graph_of(copy.deepcopy(model), example_input)
    graphs = merged.graphs if isinstance(merged, ConvertedModel) else [merged.graph]
    for node in list(graphs[0].nodes):
        if type(_module_of(merged, node)) not in _BATCH_NORMS:
            continue
        calls = [each for graph in graphs for each in graph.nodes if each.target == node.target]
        before = [each.all_input_nodes[0] for each in calls]
        if len(calls) > len(graphs) or not all(_can_merge(merged, each) for each in calls):
            continue
        _merge(_module_of(merged, before[0]), _module_of(merged, node))
        for call, layer in zip(calls, before, strict=True):
            call.replace_all_uses_with(layer)
            call.graph.erase_node(call)
    if isinstance(merged, ConvertedModel):
        merged.lint()
    else:
        merged.graph.lint()
    merged.recompile()
    merged.delete_all_unused_submodules()
    return merged


def _graph_of(model: nn.Module, example_input: Example | None) -> fx.GraphModule:
    if example_input is None:
        if not isinstance(model, fx.GraphModule):
            raise ValueError(
                f"{type(model).__name__} has to be traced: give merge_batch_norms an example_input."
            )
        return model
    traced = trace(model, example_input).graph_module
    with modes_kept(model):
        traced.train(model.training)
    return traced


def _module_of(model: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _merge(layer: Any, bn: Any) -> None:
    if isinstance(layer, QuantWeightLayer):
        layer.merge_bn_in(bn)
    else:
        merge_batch_norm(layer, bn)


def _can_merge(model: fx.GraphModule, node: fx.Node) -> bool:
    before = node.all_input_nodes[0]
    bn, layer = _module_of(model, node), _module_of(model, before)
    if layer is None or not _takes_batch_norms(layer):
        return False
    return _is_alone(model, before) and _fits(layer, bn, before)


def _takes_batch_norms(layer: nn.Module) -> bool:
    if isinstance(layer, QuantWeightLayer):
        return not layer.output_quant.is_quant_enabled
    return weight_layer_class(layer) not in (None, nn.Embedding)


def _is_alone(model: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the layer is called here only, read once, and its parameters are its own."""
    calls = [other for other in node.graph.nodes if other.target == node.target]
    everywhere = [id(p) for _, p in model.named_parameters(remove_duplicate=False)]
    own = [id(p) for p in model.get_submodule(str(node.target)).parameters(recurse=False)]
    return len(calls) == len(node.users) == 1 and all(everywhere.count(p) == 1 for p in own)


def _fits(layer: nn.Module, bn: Any, node: fx.Node) -> bool:
    """Whether ``bn`` is a fixed scale and shift of the output channels of ``layer``."""
    if bn.running_mean is None or bn.num_features != output_channels(layer):
        return False
    meta = node.meta.get("tensor_meta")
    # Behind a linear layer, [N, L, C] is normalized over L.
    return not isinstance(layer, nn.Linear) or meta is None or len(meta.shape) == 2
