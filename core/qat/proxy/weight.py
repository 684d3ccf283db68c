"""The proxy that quantizes the weight of a layer."""

from typing import Any

from torch import Tensor

from qat.enums import Role
from qat.proxy.base import QuantProxy
from qat.proxy.reuse import WeightReuse
from qat.tensor import QuantTensor


class WeightQuantProxyFromInjector(QuantProxy):
    """Quantizes weights; called with one and the layer's input, returns a ``QuantTensor``.

    Of the input only the grid is used, and that by quantizers with ``requires_quant_input``. Where
    there is no input at hand, as in ``quant_weight()``, they take that of the ``input_quant``.

    Without a quantizer, or with ``disable_quant``, the weight comes back without grid.

    In eager code a parameter that has not changed since is not quantized again, see
    :mod:`qat.proxy.reuse`. Every change is seen but one, which torch does not count: a write
    through ``weight.data`` between two calls, without optimizer step, ``train()`` or ``eval()`` in
    between. Write under ``torch.no_grad()`` instead, or call :meth:`forget` afterwards.
    """

    role = Role.WEIGHT
    requires_quant_input = False

    def forward(self, weight: Tensor, x: Tensor | QuantTensor | None = None) -> QuantTensor:
        quantizer = self.tensor_quant
        if quantizer is None or self.disable_quant:
            return QuantTensor(weight, training=self.training)
        if self.requires_quant_input:
            made = quantizer(weight, *self._input_grid(x))
        else:
            made = self._reuse(quantizer, weight)
        return QuantTensor.of_quantizer(made, self._signed, self.training, self._format)

    def forget(self) -> None:
        """Quantize at the next call, also a weight that seems unchanged; frees what was kept."""
        self._reuse.forget()

    def init_tensor_quant(self) -> None:
        super().init_tensor_quant()
        self._signed, self._format = self.is_signed, self.float_format
        self.requires_quant_input = bool(getattr(self.tensor_quant, "requires_quant_input", False))
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
        quantizer: Any = self.tensor_quant
        if self.requires_quant_input:
            # Where the weight lies on its grid depends on the input, but not the grid.
            made: tuple[Tensor, ...] = quantizer(weight, weight.new_tensor(1.0), False)
            return made[index]
        return self._reuse(quantizer, weight)[index]

    def _input_grid(self, x: Tensor | QuantTensor | None) -> tuple[Tensor, bool]:
        """Bit width and sign of the layer's input; RuntimeError where it is on no integer grid."""
        bit_width, signed = None, None
        float_format = None
        if isinstance(x, QuantTensor):
            bit_width, signed, float_format = x.bit_width, x.signed, x.format
        elif x is None:
            input_quant = getattr(self.tracked_modules[0], "input_quant", None)
            if input_quant is not None and input_quant.is_quant_enabled:
                bit_width, signed = input_quant.bit_width(), input_quant.is_signed
                float_format = input_quant.float_format
        if bit_width is None or signed is None or float_format is not None:
            raise RuntimeError(self._without_input())
        return bit_width if bit_width.dim() == 0 else bit_width.max(), signed

    def _without_input(self) -> str:
        layer: Any = self.tracked_modules[0]
        name = self.injector.__name__ if self.injector is not None else "the weight quantizer"
        return (
            f"{type(layer).__name__} with a weight of shape {tuple(layer.weight.shape)}: {name} "
            f"depends on the bit width and the sign of the layer's input, which is on no integer "
            f"grid; give the layer an input_quant, or set return_quant_tensor=True on the layer "
            f"before."
        )
