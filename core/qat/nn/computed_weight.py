"""Quantizers of a function that is called with a weight: ``F.conv2d(x, weight)``."""

from typing import Any

import torch
from torch import Tensor, nn

from qat.enums import Site
from qat.nn.base.make_proxy import Quantizer, make_proxy
from qat.proxy import ActQuantProxyFromInjector, QuantProxy, WeightQuantProxyFromInjector
from qat.tensor import QuantTensor, unwrap


class QuantOperands(nn.Module):
    """Quantizes the input and the weight of a function; called with both, it gives both.

    The weight may be a parameter, a part of one, or computed: standardised, normalised, low-rank.
    Statistics are those of the weight that is passed in; learned scales start from the one of the
    first call, unless they were loaded before.

    Args:
        example: a weight of the shape that the function gets.
        output_channel_dim: the dimension of the weight that counts output channels.
        weight_quant: quantizer of the weight, or None.
        input_quant: quantizer of the input, or None.
    """

    def __init__(
        self,
        example: Tensor,
        output_channel_dim: int,
        weight_quant: Quantizer,
        input_quant: Quantizer = None,
    ) -> None:
        super().__init__()
        owner = _Owner(example, output_channel_dim)
        self.weight_quant = make_proxy(
            owner, weight_quant, WeightQuantProxyFromInjector, {}, "weight_quant"
        )
        self.input_quant = make_proxy(
            owner, input_quant, ActQuantProxyFromInjector, {}, "input_quant"
        )

    def forward(self, x: Tensor | QuantTensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Input and weight, each on its grid: shapes and dtypes stay."""
        if not torch.compiler.is_compiling():
            owner: Any = self.weight_quant.tracked_modules[0]
            owner.weight = weight.detach()  # what learned scales start from, and are read from
        quantized = x if self.input_quant.is_identity else self.input_quant(x)
        return unwrap(quantized), self.weight_quant(weight, quantized).value

    def proxies(self) -> dict[Site, QuantProxy]:
        """The proxies by site."""
        return {Site.WEIGHT: self.weight_quant, Site.INPUT: self.input_quant}

    def has_quantizers(self) -> bool:
        """Whether anything is quantized at all."""
        return any(proxy.is_quant_enabled for proxy in self.proxies().values())


class _Owner(nn.Module):
    """What quantizers ask a layer for; its weight is no parameter of it."""

    def __init__(self, weight: Tensor, output_channel_dim: int) -> None:
        super().__init__()
        self.weight: Any = weight.detach()
        self.output_channel_dim = output_channel_dim
