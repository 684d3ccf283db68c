"""The proxy of a layer's bias."""

from torch import Tensor

from qat.enums import Role
from qat.granularity import Granularity
from qat.proxy.base import QuantProxy
from qat.tensor import QuantTensor


class BiasQuantProxyFromInjector(QuantProxy):
    """Quantizes biases, in the scale of the layer's accumulator or in one of their own."""

    role = Role.BIAS
    requires_input_scale: bool

    def init_tensor_quant(self) -> None:
        # A layer without a bias has nothing to build a quantizer from.
        if all(getattr(layer, "bias", None) is not None for layer in self.tracked_modules):
            super().init_tensor_quant()
        self.requires_input_scale = bool(self._declared("requires_input_scale", False))

    def forward(self, bias: Tensor, accumulator_scale: Tensor | None = None) -> QuantTensor:
        """Quantize ``bias`` [channels].

        Args:
            bias: float, one entry per output channel.
            accumulator_scale: input scale times weight scale, 0-dimensional or [channels]; needed
                where the quantizer ``requires_input_scale``.
        Raises:
            RuntimeError: that scale is needed and there is none.
        """
        if not self.is_quant_enabled:
            return QuantTensor(bias, training=self.training)
        if not self.requires_input_scale:
            made = self.tensor_quant(bias)  # type: ignore[misc]
        elif accumulator_scale is None:
            name = self.injector.__name__ if self.injector is not None else "the bias quantizer"
            raise RuntimeError(
                f"{name} takes its scale from the layer's input and weight, of which one is not "
                f"quantized: give the layer a weight_quant, and an input_quant or a QuantTensor "
                f"(return_quant_tensor=True on the layer before); or use "
                f"Int8BiasPerTensorFloatInternalScaling."
            )
        else:
            made = self.tensor_quant(bias, accumulator_scale)  # type: ignore[misc]
        return QuantTensor.of_quantizer(made, self.kind, self.training)

    @property
    def granularity(self) -> Granularity | None:
        """As of any quantizer; None where the scale is that of the layer's accumulator."""
        return None if self.requires_input_scale else super().granularity

    def has_own_scale(self) -> bool:
        return not self.requires_input_scale

    def _bits_in_use(self) -> Tensor | None:
        if not self.requires_input_scale:
            return self.bit_width()
        bits: Tensor = self.tensor_quant.msb_clamp_bit_width_impl()  # type: ignore[union-attr, operator]
        return bits

    def _reference_tensor(self) -> Tensor | None:
        return self.tracked_modules[0].bias  # type: ignore[return-value]

    def _probe(self, index: int) -> Tensor | None:
        if not self.is_quant_enabled:
            return None
        if self.requires_input_scale:
            raise RuntimeError(
                "this bias quantizer has no scale of its own: it depends on the layer's input."
            )
        return self.tensor_quant(self.tracked_modules[0].bias)[index]  # type: ignore[misc]
