"""Scales handed on to biases that are quantized in them."""

from torch import nn

from qat.nn import QuantCat, QuantEltwiseAdd, QuantEmbedding
from qat.nn.activation import QuantActivation
from qat.nn.base.weight_layer import QuantWeightLayer


def pass_scales_to_biases(model: nn.Module) -> None:
    """Let activations and embeddings hand on their scale, where a bias takes its own from it."""
    layers = [module for module in model.modules() if isinstance(module, QuantWeightLayer)]
    if any(
        layer.bias_quant.is_quant_enabled and layer.bias_quant.requires_input_scale
        for layer in layers
    ):
        for module in model.modules():
            if isinstance(module, QuantActivation | QuantEltwiseAdd | QuantCat | QuantEmbedding):
                module.return_quant_tensor = True
