"""The proxy that applies an activation function and quantizes what comes out."""

from typing import Any

import torch
from torch import Tensor, nn

from qat.enums import Role, ScalingImplType
from qat.inject import ExtendedInjector
from qat.proxy.base import QuantProxy
from qat.proxy.fusion import fused_arguments
from qat.proxy.kept_range import read_range, write_range
from qat.tensor import QuantTensor


class ActQuantProxyFromInjector(QuantProxy):
    """Activation function, then quantizer; called with a tensor or ``QuantTensor``.

    Args:
        layer: the module that the proxy is made for.
        injector: declaration of the quantizer, or None for no quantization.
        activation_impl: the function in front of the quantizer; None for none.
    """

    role = Role.ACTIVATION

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
        quantizer, function = self.tensor_quant, self.activation_impl
        quantizes = quantizer is not None and not self.disable_quant
        if quantizes and not self.is_calibrating:
            plain = _plain(x)
            fused = fused_arguments(function, quantizer, plain)
            if fused is not None:
                made: tuple[Any, ...] = quantizer(plain, *fused)  # type: ignore[misc]
                return QuantTensor.of_quantizer(made, self._signed, self.training, self._format)
        if function is not None:
            # a grid is of use to whoever gets the result; compiled code takes few functions of one
            x = function(_plain(x) if quantizes else x)
        if not quantizes:
            return x
        value, scale, zero_point, bit_width = quantizer(_plain(x))  # type: ignore[misc]
        if self.is_calibrating:
            return x
        return QuantTensor(
            value, scale, zero_point, bit_width, self._signed, self.training, self._format
        )

    @property
    def is_identity(self) -> bool:
        watched = self._forward_hooks or self._forward_pre_hooks
        return self.tensor_quant is None and self.activation_impl is None and not watched

    def init_tensor_quant(self) -> None:
        super().init_tensor_quant()
        self._signed, self._format = self.is_signed, self.float_format
        #: Whether each tensor gets a scale of its own, as declared by the quantizer.
        kind = str(self._declared("scaling_impl_type")).lower()
        self.is_dynamic = kind == ScalingImplType.DYNAMIC

    def set_bit_width(self, bit_width: int | None) -> None:
        before, statistic = self.tensor_quant, self._declared("scaling_stats_op")
        range_before = None if before is None else read_range(before)
        super().set_bit_width(bit_width)
        # Another statistic measures another range: its phase begins again.
        if range_before is not None and self._declared("scaling_stats_op") == statistic:
            write_range(self.tensor_quant, range_before)

    def scale(self) -> Tensor | None:
        """The scale now in use; None where nothing is quantized, or each tensor has its own."""
        return None if self.is_dynamic else super().scale()

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
        of_rows = getattr(self.tensor_quant, "group_quant", None)
        try:
            if of_rows is not None:  # groups are made of tensors that have their dimension
                return of_rows(nothing.reshape(1, 1))[index]
            return self.tensor_quant(nothing)[index]  # type: ignore[misc]
        finally:
            self.tensor_quant.train(self.training)  # type: ignore[union-attr]


def _plain(x: Tensor | QuantTensor) -> Tensor:
    return x.value if isinstance(x, QuantTensor) else x
