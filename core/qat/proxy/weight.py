"""The proxy of a layer's weight."""

from typing import Any

import torch
from torch import Tensor

from qat import config
from qat.components.fast_path import is_in_transform
from qat.enums import Role
from qat.proxy.base import QuantProxy
from qat.proxy.reuse import WeightReuse
from qat.proxy.transforms import refuse_transforms
from qat.tensor import QuantTensor
from qat.tensor.kind import UNKNOWN


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
    _reuses = True

    def forward(self, weight: Tensor, x: Tensor | QuantTensor | None = None) -> QuantTensor:
        if self._is_unused:
            self.start()
        quantizer = self.tensor_quant
        if quantizer is None or self.disable_quant:
            return QuantTensor(weight, training=self.training)
        if is_in_transform():
            refuse_transforms(quantizer)
        if self.requires_quant_input:
            made = quantizer(weight, *self._input_grid(x))
        else:
            made = self._reuse(quantizer, weight)
        return QuantTensor.of_quantizer(made, self.kind, self.training)

    def forget(self) -> None:
        """Quantize at the next call, also a weight that seems unchanged; frees what was kept."""
        self._reuse.forget()

    def stop_reuse(self) -> None:
        """Quantize the weight in every call: something changes it that torch does not count."""
        self._reuses = False
        self._reuse = WeightReuse(capacity=0)

    def init_tensor_quant(self) -> None:
        super().init_tensor_quant()
        self.requires_quant_input = bool(getattr(self.tensor_quant, "requires_quant_input", False))
        self._reuse = WeightReuse(capacity=len(self.tracked_modules) if self._reuses else 0)
        self._built_from, self._is_unused = self._sums_of_weights(), True

    def start(self) -> None:
        """Before the first use: build anew where the weights have changed since.

        Learned scales start from a statistic of the weights. People initialise weights after the
        layer is there, copy others over them, put other parameters in their place. The first eager
        call does this by itself. Code under ``torch.compile`` cannot: call it before, or run the
        model once, where weights were changed after the layer was made.
        """
        if self.disable_quant or is_in_transform():
            return
        if not torch.compiler.is_compiling() and self._built_from != self._sums_of_weights():
            self.init_tensor_quant()
        self._is_unused = False

    def _sums_of_weights(self) -> list[tuple[float, float]] | None:
        """Tells weights apart; None where nothing of the library's starts from them."""
        weights: list[Any] = [module.weight for module in self.tracked_modules]
        if not self._starts_from_weights() or any(weight.is_meta for weight in weights):
            return None
        with torch.no_grad():
            pairs = [(x.double().sum(), x.double().square().sum()) for x in weights]
            return [(float(total), float(squares)) for total, squares in pairs]

    def _starts_from_weights(self) -> bool:
        parts = () if self.tensor_quant is None else self.tensor_quant.modules()
        return any(getattr(part, "starts_from_weights", False) for part in parts)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        if self._is_unused:
            self.start()
            self._is_unused = True  # what is saved may be a float model on its way to its weights
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        own = any(name.startswith(f"{prefix}tensor_quant.") for name in state_dict)
        if own or not config.REINIT_ON_STATE_DICT_LOAD:
            self._is_unused = False  # what was loaded stays, whatever becomes of the weights

    def train(self, mode: bool = True) -> "WeightQuantProxyFromInjector":
        """As for any module; what was kept is forgotten."""
        self.forget()
        super().train(mode)
        return self

    def _apply(self, *args: Any, **kwargs: Any) -> "WeightQuantProxyFromInjector":
        self.forget()
        super()._apply(*args, **kwargs)
        return self

    def _channel_axis(self) -> int:
        return int(self._declared("output_channel_dim", 0))

    def _reference_tensor(self) -> Tensor | None:
        return self.tracked_modules[0].weight  # type: ignore[return-value]

    def _probe(self, index: int) -> Tensor | None:
        if not self.is_quant_enabled:
            return None
        if self._is_unused:
            self.start()
            self._is_unused = True
        weight: Any = self.tracked_modules[0].weight
        quantizer: Any = self.tensor_quant
        if self.requires_quant_input:
            # Where the weight lies on its grid depends on the input, but not the grid.
            made: tuple[Tensor, ...] = quantizer(weight, weight.new_tensor(1.0), False)
            return made[index]
        return self._reuse(quantizer, weight)[index]

    def _input_grid(self, x: Tensor | QuantTensor | None) -> tuple[Tensor, bool]:
        """Bit width and sign of the layer's input; RuntimeError where it is on no integer grid."""
        bit_width, kind = None, UNKNOWN
        if isinstance(x, QuantTensor):
            bit_width, kind = x.bit_width, x.kind
        elif x is None:
            input_quant = getattr(self.tracked_modules[0], "input_quant", None)
            if input_quant is not None and input_quant.is_quant_enabled:
                bit_width, kind = input_quant.bit_width(), input_quant.kind
        signed = kind.signed
        if bit_width is None or signed is None or kind.float_format is not None:
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
