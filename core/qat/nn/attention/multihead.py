"""Multi-head attention, quantized."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from qat.nn.attention.inputs import check_inputs, check_is_causal, check_sizes, joined_masks
from qat.nn.attention.projections import (
    Given,
    PackedProjection,
    check_projection,
    in_projections,
    linear_of,
    rename_projections,
    use_parameters,
)
from qat.nn.attention.scaled_dot_product import ATTENTION_QUANTIZERS, QuantAttention
from qat.nn.base.checks import check_float_class
from qat.nn.base.make_proxy import Quantizer, with_prefix
from qat.nn.base.shared_weights import rebuild_parameter_quantizers
from qat.nn.linear import QuantLinear
from qat.quantizers import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    Int32Bias,
    Uint8ActPerTensorFloat,
)
from qat.tensor import unwrap

#: Quantizers of a projection that keywords can change.
_PROJECTION_ROLES = ("input", "weight", "bias")


class QuantMultiheadAttention(QuantAttention):
    """``torch.nn.MultiheadAttention`` with quantizers.

    The attention is that of :class:`qat.nn.QuantScaledDotProductAttention`, between
    ``QuantLinear`` projections ``in_proj`` (or ``q_proj``, ``k_proj`` and ``v_proj``) and
    ``out_proj``. Takes torch's arguments first, and its state dicts; then:

    Args:
        packed_in_proj: one projection, with one weight quantizer, for queries, keys and values;
            three of them where False, or where ``kdim`` or ``vdim`` differs from ``embed_dim``.
        in_proj_input_quant, in_proj_weight_quant, in_proj_bias_quant: quantizers of those
            projections; 8 bit, and 32 bit for the bias, unless given.
        softmax_input_quant: quantizer of the scores; None unless given.
        attn_output_weights_quant: of the attention weights; 8 bit unsigned unless given.
        q_scaled_quant: of the queries, over ``sqrt(embed_dim / num_heads)``; 8 bit unless given.
        k_transposed_quant, v_quant: of keys and values; 8 bit unless given.
        out_proj_input_quant, out_proj_weight_quant, out_proj_bias_quant, out_proj_output_quant:
            of the last projection; 8 bit, and 32 bit for the bias, unless given; none of its
            output unless given.
        return_quant_tensor: give the output as ``QuantTensor``.
        in_proj_input_*, ..., v_*, out_proj_output_*: attributes that replace those of that
            quantizer.
    Raises:
        TypeError, ValueError: an argument that does not exist or does not fit.
    """

    float_class = nn.MultiheadAttention
    #: Either the first, or the other three.
    in_proj: PackedProjection
    q_proj: QuantLinear
    k_proj: QuantLinear
    v_proj: QuantLinear

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        packed_in_proj: bool = True,
        in_proj_input_quant: Quantizer = Int8ActPerTensorFloat,
        in_proj_weight_quant: Quantizer = Int8WeightPerTensorFloat,
        in_proj_bias_quant: Quantizer = Int32Bias,
        softmax_input_quant: Quantizer = None,
        attn_output_weights_quant: Quantizer = Uint8ActPerTensorFloat,
        q_scaled_quant: Quantizer = Int8ActPerTensorFloat,
        k_transposed_quant: Quantizer = Int8ActPerTensorFloat,
        v_quant: Quantizer = Int8ActPerTensorFloat,
        out_proj_input_quant: Quantizer = Int8ActPerTensorFloat,
        out_proj_weight_quant: Quantizer = Int8WeightPerTensorFloat,
        out_proj_bias_quant: Quantizer = Int32Bias,
        out_proj_output_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        check_sizes(embed_dim, num_heads, dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = float(dropout)
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        floats = nn.MultiheadAttention(
            embed_dim,
            num_heads,
            bias=bias,
            add_bias_kv=add_bias_kv,
            kdim=kdim,
            vdim=vdim,
            device=device,
            dtype=dtype,
        )
        self.bias_k, self.bias_v = floats.bias_k, floats.bias_v
        for_in = with_prefix("in_proj_", kwargs)
        for_out = with_prefix("out_proj_", kwargs)
        for_attention = {
            name: item
            for name, item in kwargs.items()
            if not name.startswith(("in_proj_", "out_proj_"))
        }
        in_quantizers = {
            "input_quant": in_proj_input_quant,
            "weight_quant": in_proj_weight_quant,
            "bias_quant": in_proj_bias_quant if bias else None,
        }
        out_quantizers = {
            "input_quant": out_proj_input_quant,
            "weight_quant": out_proj_weight_quant,
            "bias_quant": out_proj_bias_quant if bias else None,
        }
        check_projection("in_proj", in_quantizers, for_in, _PROJECTION_ROLES, ("weight_quant",))
        check_projection(
            "out_proj",
            out_quantizers,
            for_out,
            (*_PROJECTION_ROLES, "output"),
            ("input_quant", "weight_quant"),
        )
        is_packed = packed_in_proj and self.kdim == self.vdim == embed_dim
        for name, (weight, own_bias) in in_projections(floats, is_packed).items():
            linear = linear_of(weight, own_bias)
            kind = PackedProjection if is_packed else QuantLinear
            self.add_module(name, kind.from_float(linear, **in_quantizers, **for_in))
        self.out_proj = QuantLinear.from_float(
            floats.out_proj,
            **out_quantizers,
            output_quant=out_proj_output_quant,
            return_quant_tensor=return_quant_tensor,
            **for_out,
        )
        given: dict[str, Quantizer] = {
            "softmax_input": softmax_input_quant,
            "attn_output_weights": attn_output_weights_quant,
            "q_scaled": q_scaled_quant,
            "k_transposed": k_transposed_quant,
            "v": v_quant,
        }
        quantizers = {role: given[role] for role in ATTENTION_QUANTIZERS}
        self.set_attention_quantizers(quantizers, for_attention, "in_proj_", "out_proj_")
        for role in quantizers:
            self.get_submodule(f"{role}_quant").to(device=weight.device, dtype=weight.dtype)

    @classmethod
    def from_float(
        cls, layer: nn.MultiheadAttention, **arguments: Any
    ) -> "QuantMultiheadAttention":
        """The quantized layer in place of ``layer``.

        The parameters are those of ``layer``, not copies, except where one of its own is split:
        its packed weight with ``packed_in_proj=False``, its packed bias without a packed weight.

        Args:
            layer: a ``torch.nn.MultiheadAttention``.
            arguments: quantizers and the further keyword arguments of the constructor.
        Raises:
            TypeError: ``layer`` is of another class.
        """
        check_float_class(cls.__name__, layer, cls.float_class)
        example = layer.out_proj.weight
        made = cls(
            layer.embed_dim,
            layer.num_heads,
            layer.dropout,
            layer.in_proj_bias is not None,
            layer.bias_k is not None,
            layer.add_zero_attn,
            layer.kdim,
            layer.vdim,
            layer.batch_first,
            example.device,
            example.dtype,
            **arguments,
        )
        for name, (weight, bias) in in_projections(layer, made.is_packed).items():
            use_parameters(made.get_submodule(name), weight, bias)
        use_parameters(made.out_proj, layer.out_proj.weight, layer.out_proj.bias)
        made.bias_k, made.bias_v = layer.bias_k, layer.bias_v
        rebuild_parameter_quantizers(made)
        return made.train(layer.training)

    @property
    def is_packed(self) -> bool:
        """Whether queries, keys and values have one projection, ``in_proj``."""
        return "in_proj" in self._modules

    def forward(
        self,
        query: Given,
        key: Given,
        value: Given,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Given, Tensor | None]:
        """Attend.

        Args:
            query: [L, N, embed_dim], [N, L, embed_dim] with ``batch_first``, or [L, embed_dim].
            key, value: [S, N, kdim] and [S, N, vdim] likewise.
            key_padding_mask: [N, S] or [S]; bool, True for keys to leave out, or float, added to
                the scores.
            need_weights: give the attention weights too.
            attn_mask: [L, S] or [N * num_heads, L, S], bool or float likewise.
            average_attn_weights: give their mean over the heads.
            is_causal: a hint, as for torch, that ``attn_mask`` is the causal mask.
        Returns:
            The output, [L, N, embed_dim] in the layout of ``query``, and the attention weights as
            they were used, [N, L, S], [N, num_heads, L, S] without ``average_attn_weights``, or
            None. A query that may look at no key gets weights of zero.
        Raises:
            ValueError: shapes that do not fit; ``is_causal`` without ``attn_mask``.
            NotImplementedError: nested tensors.
        """
        check_inputs(query, key, value, (self.embed_dim, self.kdim, self.vdim))
        check_is_causal(is_causal, attn_mask)
        is_batched = query.dim() == 3
        query, key, value = self._time_first(query, key, value)
        if key_padding_mask is not None and not is_batched:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        length, batch = query.shape[:2]
        added = int(self.bias_k is not None) + int(self.add_zero_attn)
        sizes = batch, self.num_heads, length, key.shape[0]
        mask = joined_masks(key_padding_mask, attn_mask, sizes, added)
        q, k, v = self._project(query, key, value)
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(1, batch, -1)])
            v = torch.cat([v, self.bias_v.expand(1, batch, -1)])
        q, k, v = (self._heads(x) for x in (q, k, v))
        if self.add_zero_attn:
            k, v = (torch.cat([x, x.new_zeros(x.shape[0], 1, self.head_dim)], 1) for x in (k, v))
        dropout = self.dropout if self.training else 0.0
        attended, weights = self.attend(q / math.sqrt(self.head_dim), k, v, mask, dropout)
        # (N * heads, L, head_dim) -> (L, N, embed_dim)
        joined = attended.transpose(0, 1).reshape(length, batch, self.embed_dim)
        out = self.out_proj(joined)
        if not is_batched:
            out = out.squeeze(1)
        elif self.batch_first:
            out = out.transpose(0, 1)
        if not need_weights:
            return out, None
        weights = weights.reshape(batch, self.num_heads, length, k.shape[1])
        if average_attn_weights:
            weights = weights.mean(dim=1)
        return out, weights if is_batched else weights.squeeze(0)

    def _time_first(self, *tensors: Given) -> tuple[Given, ...]:
        """[length, N, features] each; what was one tensor stays one."""
        done: list[Given] = []
        for index, x in enumerate(tensors):
            before = [i for i in range(index) if tensors[i] is x]
            if before:
                done.append(done[before[0]])
            elif x.dim() == 2:
                done.append(x.unsqueeze(1))
            else:
                done.append(x.transpose(0, 1) if self.batch_first else x)
        return tuple(done)

    def _project(self, query: Given, key: Given, value: Given) -> tuple[Tensor, ...]:
        if self.is_packed:
            return self.in_proj.project(query, key, value)
        return unwrap(self.q_proj(query)), unwrap(self.k_proj(key)), unwrap(self.v_proj(value))

    def _heads(self, x: Tensor) -> Tensor:
        """[length, N, embed_dim] -> [N * heads, length, head_dim]."""
        length, batch, _ = x.shape
        return x.reshape(length, batch * self.num_heads, self.head_dim).transpose(0, 1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        rename_projections(state_dict, prefix, self.is_packed)
        super()._load_from_state_dict(state_dict, prefix, *others)
