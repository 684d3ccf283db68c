"""The proxy of activations: applies a function, and quantizes what comes out."""

from typing import Any

import torch
from torch import Tensor, nn

from qat.components.fast_path import is_in_transform
from qat.components.scaling import found_range, set_range
from qat.enums import Role, ScalingImplType, choice
from qat.inject import ExtendedInjector
from qat.proxy.base import QuantProxy
from qat.proxy.fusion import fused_arguments
from qat.proxy.scripted_pass import ScriptedPass
from qat.proxy.transforms import refuse_transforms
from qat.tensor import QuantTensor
from qat.torchscript import is_scripted


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
        self.threshold_decides = self._has_learned_bounds()

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        """``QuantTensor`` where this quantizes; otherwise what the activation function gives."""
        quantizer, function = self.tensor_quant, self.activation_impl
        if quantizer is None or self.disable_quant:
            return x if function is None else function(x)
        if is_in_transform():
            refuse_transforms(quantizer)
        plain, fused = _plain(x), None
        if function is not None and (self.is_calibrating or not self.threshold_decides):
            if not self.is_calibrating:
                fused = fused_arguments(function, quantizer, plain)
            if fused is None:
                # of the value alone: compiled code takes few functions of a QuantTensor
                x = plain = function(plain)
        if self.is_calibrating:
            if self._scripted_pass is not None:
                self._scripted_pass.call(quantizer, plain)
            else:
                getattr(quantizer, "observe", quantizer)(plain)
            return x
        if self._scripted_pass is not None:
            made = self._scripted_pass.call(quantizer, plain, *(fused or ()))
        else:
            made = quantizer(plain) if fused is None else quantizer(plain, *fused)
        return QuantTensor.of_quantizer(made, self.kind, self.training)

    @property
    def is_identity(self) -> bool:
        watched = self._forward_hooks or self._forward_pre_hooks
        return self.tensor_quant is None and self.activation_impl is None and not watched

    def init_tensor_quant(self) -> None:
        super().init_tensor_quant()
        #: Whether each tensor gets a scale of its own, as declared by the quantizer.
        kind = self._declared("scaling_impl_type", ScalingImplType.STATS)
        kind = choice(ScalingImplType, kind, "scaling_impl_type")
        self.is_dynamic = kind is ScalingImplType.DYNAMIC
        self._scripted_pass = ScriptedPass() if is_scripted(self.tensor_quant) else None
        if "activation_impl" in self._modules:
            self.threshold_decides = self._has_learned_bounds()

    def _has_learned_bounds(self) -> bool:
        """Whether a learned threshold takes the place of the bounds that it started from."""
        kind = self._declared("scaling_impl_type", ScalingImplType.STATS)
        is_learned = choice(ScalingImplType, kind, "scaling_impl_type") is ScalingImplType.PARAMETER
        return is_learned and type(self.activation_impl) is nn.Hardtanh

    def set_bit_width(self, bit_width: int | None) -> None:
        before, statistic = self.tensor_quant, self._declared("scaling_stats_op")
        found = None if before is None else found_range(before)
        super().set_bit_width(bit_width)
        # Another statistic measures another range: its phase begins again.
        if found is not None and self._declared("scaling_stats_op") == statistic:
            set_range(self.tensor_quant, found)

    def scale(self) -> Tensor | None:
        """The scale now in use; None where nothing is quantized, or each tensor has its own."""
        return None if self.is_dynamic else super().scale()

    def _channel_axis(self) -> int:
        # A shape with the channels in front leaves the dimensions before them out.
        shape = tuple(self._declared("scaling_shape", ()))
        found = next((axis for axis, size in enumerate(shape) if size != 1), 1)
        return found if found > 0 else -len(shape)

    def _reference_tensor(self) -> Tensor | None:
        # The first quantizer of a layer follows its weight, as those of weight and bias do.
        own = super()._reference_tensor()
        return getattr(self.tracked_modules[0], "weight", None) if own is None else own

    def _probe(self, index: int) -> Tensor | None:
        if not self.is_quant_enabled:
            return None
        # In evaluation mode and on nothing: a look at the scale must not move any statistics.
        place = self._reference_tensor()
        nothing = torch.zeros(1) if place is None else place.new_zeros(1)
        quantizer: Any = self.tensor_quant
        in_training = [module for module in quantizer.modules() if module.training]
        for module in in_training:
            module.training = False
        of_rows = getattr(quantizer, "group_quant", None)
        try:
            if of_rows is not None:  # groups are made of tensors that have their dimension
                return of_rows(nothing.reshape(1, 1))[index]
            return quantizer(nothing)[index]
        finally:
            for module in in_training:
                module.training = True


def _plain(x: Tensor | QuantTensor) -> Tensor:
    return x.value if isinstance(x, QuantTensor) else x
