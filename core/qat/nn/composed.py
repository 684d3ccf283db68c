"""What layers with several weights share, beside their proxies."""

from typing import Any

from torch import nn

from qat.proxy import BiasQuantProxyFromInjector, WeightQuantProxyFromInjector

from .proxies import Quantizer


def require_scales(
    kind: str, argument: str, bias_quant: Quantizer, sources: dict[str, Quantizer]
) -> None:
    """Refuse a bias quantizer that takes its scale from quantizers of which one is None.

    Args:
        kind: the layer's class.
        argument: the layer's argument that ``bias_quant`` came as.
        bias_quant: injector with the attributes it is used with, proxy or None.
        sources: the quantizers of input and weight, by the layer's arguments.
    Raises:
        ValueError: one of ``sources`` is None, and ``bias_quant`` needs it.
    """
    missing = [name for name, quant in sources.items() if quant is None]
    if missing and _needs_scale(bias_quant):
        raise ValueError(
            f"{kind}: {argument} takes its scale from input and weight, but "
            f"{' and '.join(missing)} is None; give one, set {argument}=None, or use "
            f"Int8BiasPerTensorFloatInternalScaling."
        )


def _needs_scale(bias_quant: Any) -> bool:
    if isinstance(bias_quant, BiasQuantProxyFromInjector):
        return bias_quant.is_quant_enabled and bias_quant.requires_input_scale
    is_injector = isinstance(bias_quant, type) and "requires_input_scale" in bias_quant  # type: ignore[operator]
    return is_injector and bool(bias_quant.requires_input_scale)


def rebuild_parameter_quantizers(layer: nn.Module) -> None:
    """Build the quantizers of weights and biases anew, from the parameters as they are now."""
    for module in layer.modules():
        if isinstance(module, WeightQuantProxyFromInjector | BiasQuantProxyFromInjector):
            module.init_tensor_quant()
