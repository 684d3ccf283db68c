"""Whether a value in a traced model lies on the grid of a quantizer."""

from torch import fx, nn

from qat.graph.functions import GRID_KEEPING_FUNCTIONS, GRID_KEEPING_METHODS, GRID_KEEPING_MODULES
from qat.nn import QuantEltwiseAdd, QuantEmbedding, QuantMaxPool2d, QuantMultiheadAttention
from qat.nn.activation import QuantActivation
from qat.nn.base.weight_layer import QuantWeightLayer


def lies_on_grid(model: fx.GraphModule, node: fx.Node) -> bool:
    """Follow ``node`` back through what keeps a grid, to a quantizer or to something in float."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        if _quantizes(module):
            return True
        keeps = isinstance(module, (*GRID_KEEPING_MODULES, QuantMaxPool2d))
    elif node.op == "call_function":
        keeps = node.target in GRID_KEEPING_FUNCTIONS
    elif node.op == "call_method":
        keeps = node.target in GRID_KEEPING_METHODS
    else:
        keeps = False
    return keeps and lies_on_grid(model, node.all_input_nodes[0])


def _quantizes(module: nn.Module) -> bool:
    if isinstance(module, QuantActivation):
        return module.act_quant.is_quant_enabled
    if isinstance(module, QuantEmbedding):
        scale = module.weight_quant.scale()
        return scale is not None and scale.numel() == 1  # a scale per row is none per tensor
    if isinstance(module, QuantWeightLayer | QuantEltwiseAdd):
        return module.output_quant.is_quant_enabled
    if isinstance(module, QuantMultiheadAttention):
        return module.out_proj.output_quant.is_quant_enabled
    return False
