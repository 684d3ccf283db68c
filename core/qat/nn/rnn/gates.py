"""Quantized parameters of the gates of a recurrent layer.

torch keeps the gates of a layer one below the other, the weights of input and hidden state and two
biases apart. A gate quantizes its rows of both weights as one tensor, so that what it sums has one
scale, and the sum of its biases in the scale of that sum.
"""

from typing import Any

import torch
from torch import Tensor, nn

from qat.nn.base.sums import product_of_scales
from qat.nn.rnn.declared import Declared
from qat.tensor import QuantTensor


class GateWeight(nn.Module):
    """``weight``: rows of several weights of a layer, side by side, with their quantizer.

    Args:
        declared: the quantizers of the layer.
        names: the layer's parameters, [rows of all gates, columns] each.
        rows: those of the gate.
    """

    def __init__(self, declared: Declared, names: tuple[str, ...], rows: slice) -> None:
        super().__init__()
        # In a list: the layer owns the gate, not the other way round.
        self._layer = [declared.layer]
        self._names = names
        self._rows = rows
        self.weight_quant = declared.weight(self)

    @property
    def weight(self) -> Tensor:
        """[rows, columns of all]."""
        return torch.cat(_rows_of(self._layer[0], self._names, self._rows), dim=1)

    def forward(self) -> QuantTensor:
        return self.weight_quant(self.weight)


class GateBias(nn.Module):
    """``bias``: the sum of the rows of several biases of a layer, with its quantizer.

    Args:
        declared, names, rows: as for :class:`GateWeight`, of parameters [rows of all gates].
    """

    def __init__(self, declared: Declared, names: tuple[str, ...], rows: slice) -> None:
        super().__init__()
        self._layer = [declared.layer]
        self._names = names
        self._rows = rows
        self.bias_quant = declared.bias(self)

    @property
    def bias(self) -> Tensor:
        """[rows]."""
        parts = _rows_of(self._layer[0], self._names, self._rows)
        return torch.stack(parts).sum(0)

    def forward(self, input_scale: Tensor | None, weight_scale: Tensor | None) -> QuantTensor:
        bias = self.bias
        if input_scale is None or weight_scale is None:
            return self.bias_quant(bias)
        per_row = _scale_per_row(weight_scale, len(bias))
        return self.bias_quant(bias, product_of_scales(input_scale, per_row))


def _rows_of(layer: Any, names: tuple[str, ...], rows: slice) -> list[Tensor]:
    return [getattr(layer, name)[rows] for name in names]


def _scale_per_row(scale: Tensor, rows: int) -> Tensor | None:
    """0-dimensional or [rows]; None where the sum of a row has no one scale."""
    if scale.numel() == 1:
        return scale.reshape(())
    return scale.reshape(-1) if scale.numel() == rows else None
