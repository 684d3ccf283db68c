"""Quantized embedding."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from qat.nn.base.make_proxy import Quantizer
from qat.nn.base.quantized_weight import QuantizedWeight
from qat.quantizers import Int8WeightPerTensorFloat
from qat.tensor import QuantTensor


class QuantEmbedding(QuantizedWeight, nn.Embedding):
    """``torch.nn.Embedding`` with a quantized table; input: indices of any shape, [*].

    Takes torch's arguments first, then those below. Rows are looked up in the quantized table. As
    for torch's layer, ``max_norm`` shortens the rows of the parameter itself, before it is
    quantized; with ``sparse=True`` the gradient of the parameter is a sparse tensor of the rows
    that have one, made from a dense one, since the gradient of the scale may reach any row.

    Args:
        weight_quant: quantizer of the table, a proxy to share, or None; 8 bit unless given. A scale
            per channel is one per row.
        return_quant_tensor: give a ``QuantTensor``, with the scales of the rows looked up.
        weight_*: attributes that replace those of the quantizer: ``weight_bit_width=4``.
    Raises:
        ValueError: a ``weight_quant`` that depends on an input (accumulator-aware).
    """

    float_class = nn.Embedding
    constants = (
        "num_embeddings",
        "embedding_dim",
        "padding_idx",
        "max_norm",
        "norm_type",
        "scale_grad_by_freq",
        "sparse",
    )

    def __init__(
        self,
        *args: Any,
        weight_quant: Quantizer = Int8WeightPerTensorFloat,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *args, weight_quant=weight_quant, return_quant_tensor=return_quant_tensor, **kwargs
        )

    def _set_quantizers(self, arguments: dict[str, Any], return_quant_tensor: bool) -> None:
        super()._set_quantizers(arguments, return_quant_tensor)
        if self.weight_quant.requires_quant_input:
            quantizer: Any = self.weight_quant.injector
            raise ValueError(
                f"QuantEmbedding: weight_quant is {quantizer.__name__}, which bounds sums of "
                f"products, but rows are looked up and summed with nothing; use another such as "
                f"Int8WeightPerChannelFloat."
            )

    def forward(self, input: Tensor) -> Tensor | QuantTensor:  # type: ignore[override]
        """Rows of the quantized table: [*] -> [*, embedding_dim]."""
        if self.max_norm is not None:
            indices = input.contiguous()
            with torch.no_grad():
                torch.embedding_renorm_(self.weight, indices, self.max_norm, self.norm_type)
        quantizes = self.weight_quant.is_quant_enabled
        by_rows = self.sparse and quantizes
        table = self.weight_quant(_SparseGradient.apply(self.weight) if by_rows else self.weight)
        sparse = self.sparse and not quantizes
        rows = F.embedding(
            input,
            table.value,
            self.padding_idx,
            scale_grad_by_freq=self.scale_grad_by_freq,
            sparse=sparse,
        )
        return _with_grid_of(table, rows, input) if self.return_quant_tensor else rows


class _SparseGradient(Function):
    """The identity; its gradient is sparse, of those rows that are not zero."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows = gradient.ne(0).any(dim=1).nonzero().T
        return torch.sparse_coo_tensor(
            rows, gradient[rows[0]], gradient.shape, is_coalesced=True, check_invariants=False
        )


def _with_grid_of(table: QuantTensor, rows: Tensor, indices: Tensor) -> QuantTensor:
    """``rows`` [*, D] of ``table`` [V, D], with the metadata of these rows."""
    names = ("scale", "zero_point", "bit_width")
    metadata = {name: _look_up(getattr(table, name), indices) for name in names}
    return table.set(value=rows, **metadata)


def _look_up(metadata: Tensor | None, indices: Tensor) -> Tensor | None:
    if metadata is None or metadata.numel() == 1 or metadata.dim() < 2:
        return metadata
    return metadata[indices] if metadata.shape[0] > 1 else metadata[0]  # else all rows share it
