"""Proxies that narrow an accumulator, by its low or high bits."""

from typing import Any

from torch import Tensor, nn

from qat.enums import Role
from qat.formats import Format
from qat.granularity import Granularity
from qat.proxy.base import QuantProxy
from qat.tensor import QuantTensor


class AccumulatorQuantProxy(QuantProxy):
    """Takes a ``QuantTensor``, whose grid it changes, and gives one; subclasses say how."""

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        """``x`` on its new grid, or as it is where nothing is quantized.

        Raises:
            TypeError: ``x`` is a plain tensor.
            ValueError: ``x`` is a ``QuantTensor`` without a grid.
            NotImplementedError: ``x`` holds minifloats.
        """
        quantizer = self.tensor_quant
        if quantizer is None or self.disable_quant:
            return x
        if not isinstance(x, QuantTensor):
            raise TypeError(
                f"{self._name()} needs the integers of its input, but got a plain tensor: set "
                f"return_quant_tensor=True on the layer before."
            )
        if x.missing:
            raise ValueError(
                f"{self._name()} needs the integers of its input, but got a QuantTensor without "
                f"{', '.join(x.missing)}: quantize the input and the weight of the layer before, "
                f"and its bias, if it has one, with a quantizer such as Int32Bias."
            )
        if x.float_format is not None:
            raise NotImplementedError(
                f"{self._name()} narrows integers; there is no narrowing of minifloats, which the "
                f"input is, yet: quantize it to integers, or again by an act_quant."
            )
        return self.narrow(quantizer, x)

    def narrow(self, quantizer: nn.Module, x: QuantTensor) -> QuantTensor:
        """``x`` on its new grid."""
        raise NotImplementedError(f"{type(self).__name__} does not define narrow()")

    def has_own_scale(self) -> bool:
        return False

    @property
    def format(self) -> Format | None:
        """None: sign, bits or both are those of the input."""
        return None

    @property
    def granularity(self) -> Granularity | None:
        """None: the scale follows from that of the input."""
        return None

    def _name(self) -> str:
        return "the quantizer" if self.injector is None else self.injector.__name__

    def _probe(self, index: int) -> Tensor | None:
        if not self.is_quant_enabled:
            return None
        raise RuntimeError(
            f"{self._name()} has no grid of its own: it depends on that of the input."
        )


class TruncQuantProxyFromInjector(AccumulatorQuantProxy):
    """Drops the low bits of an accumulator; signed or unsigned as it was."""

    role = Role.TRUNCATED_ACCUMULATOR

    def narrow(self, quantizer: nn.Module, x: QuantTensor) -> QuantTensor:
        made = quantizer(x.value, x.scale, x.zero_point, x.bit_width, x.signed)
        return QuantTensor.of_quantizer(made, self.kind.with_sign(x.signed), self.training)

    def bit_width(self) -> Tensor | None:
        """The bit width that accumulators are truncated to, or None where they are not."""
        if not self.is_quant_enabled:
            return None
        quantizer: Any = self.tensor_quant
        bit_width: Tensor = quantizer.msb_clamp_bit_width_impl()
        return bit_width


class ClampQuantProxyFromInjector(AccumulatorQuantProxy):
    """Drops the high bits of an accumulator by saturation; scale and zero point stay."""

    role = Role.CLAMPED_ACCUMULATOR

    def narrow(self, quantizer: nn.Module, x: QuantTensor) -> QuantTensor:
        made = quantizer(x.value, x.scale, x.bit_width, x.zero_point)
        return QuantTensor.of_quantizer(made, self.kind, self.training)
