"""The proxy that quantizes the weight of a layer."""

from torch import Tensor

from qat.tensor import QuantTensor

from .base import QuantProxy


class WeightQuantProxyFromInjector(QuantProxy):
    """Quantizes weights; called with one, returns a ``QuantTensor``.

    Without a quantizer, or with ``disable_quant``, the weight comes back without grid.
    """

    def forward(self, weight: Tensor) -> QuantTensor:
        if not self.is_quant_enabled:
            return QuantTensor(weight, training=self.training)
        value, scale, zero_point, bit_width = self.tensor_quant(weight)  # type: ignore[misc]
        return QuantTensor(value, scale, zero_point, bit_width, self._signed, self.training)

    def init_tensor_quant(self) -> None:
        super().init_tensor_quant()
        self._signed = self.is_signed

    def _reference_tensor(self) -> Tensor | None:
        return self.tracked_modules[0].weight  # type: ignore[return-value]

    def _probe(self, index: int) -> Tensor | None:
        if not self.is_quant_enabled:
            return None
        return self.tensor_quant(self.tracked_modules[0].weight)[index]  # type: ignore[misc]
