"""The proxy that quantizes the weight of a layer."""

from typing import Any

from torch import Tensor

from qat.tensor import QuantTensor

from .base import QuantProxy
from .reuse import WeightReuse


class WeightQuantProxyFromInjector(QuantProxy):
    """Quantizes weights; called with one, returns a ``QuantTensor``.

    Without a quantizer, or with ``disable_quant``, the weight comes back without grid.

    In eager code a parameter that has not changed since is not quantized again, see
    :mod:`qat.proxy.reuse`. Every change is seen but one, which torch does not count: a write
    through ``weight.data`` between two calls, without optimizer step, ``train()`` or ``eval()`` in
    between. Write under ``torch.no_grad()`` instead, or call :meth:`forget` afterwards.
    """

    def forward(self, weight: Tensor) -> QuantTensor:
        quantizer = self.tensor_quant
        if quantizer is None or self.disable_quant:
            return QuantTensor(weight, training=self.training)
        made = self._reuse(quantizer, weight)
        return QuantTensor.of_quantizer(made, self._signed, self.training)

    def forget(self) -> None:
        """Quantize at the next call, also a weight that seems unchanged; frees what was kept."""
        self._reuse.forget()

    def init_tensor_quant(self) -> None:
        super().init_tensor_quant()
        self._signed = self.is_signed
        self._reuse = WeightReuse(capacity=len(self.tracked_modules))

    def train(self, mode: bool = True) -> "WeightQuantProxyFromInjector":
        """As for any module; what was kept is forgotten."""
        self.forget()
        super().train(mode)
        return self

    def _apply(self, *args: Any, **kwargs: Any) -> "WeightQuantProxyFromInjector":
        self.forget()
        super()._apply(*args, **kwargs)
        return self

    def _reference_tensor(self) -> Tensor | None:
        return self.tracked_modules[0].weight  # type: ignore[return-value]

    def _probe(self, index: int) -> Tensor | None:
        if not self.is_quant_enabled:
            return None
        weight: Any = self.tracked_modules[0].weight
        return self._reuse(self.tensor_quant, weight)[index]  # type: ignore[arg-type]
