"""Layers that drop low or high bits of an accumulator."""

from typing import Any, TypeVar

from torch import Tensor, nn

from qat.inject import ExtendedInjector
from qat.nn.base.make_proxy import Quantizer, make_proxy
from qat.proxy import ClampQuantProxyFromInjector, TruncQuantProxyFromInjector
from qat.proxy.accumulator import AccumulatorQuantProxy
from qat.tensor import QuantTensor, unwrap

A = TypeVar("A", bound=AccumulatorQuantProxy)


def make_accumulator_proxy(
    layer: nn.Module, quant: Quantizer, proxy_class: type[A], kwargs: dict[str, Any], role: str
) -> A:
    """The proxy for the argument ``<role>_quant``; ``kwargs`` replace attributes of its quantizer.

    They are attributes as they are, ``bit_width``, or with the role in front, ``trunc_bit_width``.
    """
    declared = quant if isinstance(quant, type) and issubclass(quant, ExtendedInjector) else ()
    overrides = {
        name if name in declared else name.removeprefix(f"{role}_"): item
        for name, item in kwargs.items()
    }
    return make_proxy(layer, quant, proxy_class, overrides, f"{role}_quant")


class TruncQuantAccumulator(nn.Module):
    """Drops the low bits of a ``QuantTensor``.

    Args:
        trunc_quant: quantizer such as ``TruncTo8bit``, a proxy to share, or None for none.
        return_quant_tensor: give a ``QuantTensor`` in place of a plain tensor.
        kwargs: attributes that replace those of ``trunc_quant``, also with the prefix ``trunc_``.
    Raises:
        TypeError, ValueError: when called with a plain tensor, or one without a grid.
    """

    def __init__(
        self, trunc_quant: Quantizer = None, return_quant_tensor: bool = True, **kwargs: Any
    ) -> None:
        super().__init__()
        self.return_quant_tensor = return_quant_tensor
        self.trunc_quant = make_accumulator_proxy(
            self, trunc_quant, TruncQuantProxyFromInjector, kwargs, "trunc"
        )

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        out: Tensor | QuantTensor = self.trunc_quant(x)
        return out if self.return_quant_tensor else unwrap(out)


class ClampQuantAccumulator(nn.Module):
    """Drops the high bits of a ``QuantTensor``, saturating what does not fit.

    Args:
        clamp_quant: quantizer such as ``ClampTo8bit``, a proxy to share, or None for none.
        return_quant_tensor: give a ``QuantTensor`` in place of a plain tensor.
        kwargs: attributes that replace those of ``clamp_quant``, also with the prefix ``clamp_``.
    Raises:
        TypeError, ValueError: when called with a plain tensor, or one without a grid.
    """

    def __init__(
        self, clamp_quant: Quantizer = None, return_quant_tensor: bool = True, **kwargs: Any
    ) -> None:
        super().__init__()
        self.return_quant_tensor = return_quant_tensor
        self.clamp_quant = make_accumulator_proxy(
            self, clamp_quant, ClampQuantProxyFromInjector, kwargs, "clamp"
        )

    def forward(self, x: Tensor | QuantTensor) -> Tensor | QuantTensor:
        out: Tensor | QuantTensor = self.clamp_quant(x)
        return out if self.return_quant_tensor else unwrap(out)
