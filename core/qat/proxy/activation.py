"""The proxy that applies an activation function and quantizes what comes out."""

import torch
from torch import Tensor, nn

from qat.inject import ExtendedInjector
from qat.tensor import QuantTensor

from .base import QuantProxy


class ActQuantProxyFromInjector(QuantProxy):
    """Activation function, then quantizer; called with a tensor or ``QuantTensor``.

    Args:
        layer: the module that the proxy is made for.
        injector: declaration of the quantizer, or None for no quantization.
        activation_impl: the function in front of the quantizer; None for none.
    """

    def __init__(
        self,
        layer: nn.Module,
        injector: type[ExtendedInjector] | None,
        activation_impl: nn.Module | None = None,
    ) -> None:
        super().__init__(layer, injector)
        self.activation_impl = activation_impl
        self.is_calibrating = False

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        """``QuantTensor`` where this quantizes; otherwise what the activation function gives."""
        if self.activation_impl is not None:
            x = self.activation_impl(x)
        if not self.is_quant_enabled:
            return x
        plain = x.value if isinstance(x, QuantTensor) else x
        value, scale, zero_point, bit_width = self.tensor_quant(plain)  # type: ignore[misc]
        if self.is_calibrating:
            return x
        return QuantTensor(value, scale, zero_point, bit_width, self._signed, self.training)

    def init_tensor_quant(self) -> None:
        super().init_tensor_quant()
        self._signed = self.is_signed

    def _reference_tensor(self) -> Tensor | None:
        # The first quantizer of a layer follows its weight, as those of weight and bias do.
        own = super()._reference_tensor()
        return getattr(self.tracked_modules[0], "weight", None) if own is None else own

    def _probe(self, index: int) -> Tensor | None:
        if not self.is_quant_enabled:
            return None
        # In evaluation mode and on nothing: a look at the scale must not move any statistics.
        place = self._reference_tensor()
        nothing = torch.zeros(1) if place is None else torch.zeros_like(place).reshape(-1)[:1]
        self.tensor_quant.eval()  # type: ignore[union-attr]
        try:
            return self.tensor_quant(nothing)[index]  # type: ignore[misc]
        finally:
            self.tensor_quant.train(self.training)  # type: ignore[union-attr]
