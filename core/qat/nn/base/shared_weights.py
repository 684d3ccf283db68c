"""Quantizers of layers with several weights: a bias's scale, rebuilding."""

from typing import Any

from torch import nn

from qat.inject import ExtendedInjector
from qat.nn.base.make_proxy import Quantizer, with_prefix
from qat.proxy import BiasQuantProxyFromInjector, WeightQuantProxyFromInjector


def require_scales(
    kind: str,
    argument: str,
    bias_quant: Quantizer,
    overrides: dict[str, Any],
    sources: dict[str, Quantizer],
) -> None:
    """Refuse a bias quantizer that takes its scale from quantizers of which one is None.

    Args:
        kind: the layer's class.
        argument: the layer's argument that ``bias_quant`` came as.
        bias_quant: injector, proxy or None.
        overrides: attributes that replace those of quantizers; of this one with ``bias_`` in front.
        sources: the quantizers of input and weight, by the layer's arguments.
    Raises:
        ValueError: one of ``sources`` is None, and ``bias_quant`` needs it.
    """
    missing = [name for name, quant in sources.items() if quant is None]
    if missing and needs_scale(bias_quant, with_prefix("bias_", overrides)):
        raise ValueError(
            f"{kind}: {argument} takes its scale from input and weight, but "
            f"{' and '.join(missing)} is None; give one, set {argument}=None, or use "
            f"Int8BiasPerTensorFloatInternalScaling."
        )


def needs_scale(bias_quant: Any, overrides: dict[str, Any]) -> bool:
    """Whether a bias quantizer, its attributes replaced by ``overrides``, takes its scale from
    the layer's input."""
    if isinstance(bias_quant, BiasQuantProxyFromInjector):
        return bias_quant.is_quant_enabled and bias_quant.requires_input_scale
    if not (isinstance(bias_quant, type) and issubclass(bias_quant, ExtendedInjector)):
        return False
    used: Any = bias_quant.let(**overrides)
    return "requires_input_scale" in used and bool(used.requires_input_scale)


def rebuild_parameter_quantizers(layer: nn.Module) -> None:
    """Build the quantizers of weights and biases anew, from the parameters as they are now."""
    for module in layer.modules():
        if isinstance(module, WeightQuantProxyFromInjector | BiasQuantProxyFromInjector):
            module.init_tensor_quant()
