"""Scaled dot-product attention in float and quantized.

``softmax(scale * Q K^T + mask) V``. Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qat.nn.attention.mask import Mask
from qat.nn.base.checks import check_names
from qat.nn.base.make_proxy import Quantizer, make_proxy, with_prefix
from qat.nn.base.output_layer import returned
from qat.proxy import ActQuantProxyFromInjector
from qat.quantizers import Int8ActPerTensorFloat, Uint8ActPerTensorFloat
from qat.tensor import QuantTensor, unwrap

PreProcess = Callable[[Any], Any] | None
#: The quantizers of attention by their arguments, in the order of the computation.
ATTENTION_QUANTIZERS = (
    "q_scaled",
    "k_transposed",
    "softmax_input",
    "attn_output_weights",
    "v",
)


class QuantAttention(nn.Module):
    """Base of layers with attention: the quantizers between its matrix products."""

    q_scaled_quant: ActQuantProxyFromInjector
    k_transposed_quant: ActQuantProxyFromInjector
    softmax_input_quant: ActQuantProxyFromInjector
    attn_output_weights_quant: ActQuantProxyFromInjector
    v_quant: ActQuantProxyFromInjector

    def set_attention_quantizers(
        self, quantizers: dict[str, Quantizer], overrides: dict[str, Any], *others: str
    ) -> None:
        """Make the proxies.

        Args:
            quantizers: injector, proxy or None for each of :data:`ATTENTION_QUANTIZERS`, and for
                further ones of the layer.
            overrides: attributes that replace theirs, with the same names in front.
            others: names that attributes of the layer's other quantizers start with.
        Raises:
            TypeError: an override with none of the names in front.
        """
        prefixes = tuple(f"{role}_" for role in quantizers)
        check_names(type(self).__name__, overrides, (*prefixes, *others))
        for role, quant in quantizers.items():
            own = with_prefix(f"{role}_", overrides)
            proxy = make_proxy(self, quant, ActQuantProxyFromInjector, own, f"{role}_quant")
            setattr(self, f"{role}_quant", proxy)

    def attend(
        self, scaled_query: Tensor, key: Tensor, value: Tensor, mask: Mask, dropout_p: float
    ) -> tuple[Tensor, Tensor]:
        """Quantize, multiply, and take the softmax.

        Args:
            scaled_query: [..., L, E].
            key: [..., S, E].
            value: [..., S, Ev].
            mask: of the scores [..., L, S].
            dropout_p: probability that a weight becomes zero.
        Returns:
            The output [..., L, Ev], and the weights [..., L, S] as they were used.
        """
        query = unwrap(self.q_scaled_quant(scaled_query))
        scores = query @ unwrap(self.k_transposed_quant(key.transpose(-2, -1)))
        weights = mask.softmax(unwrap(self.softmax_input_quant(mask.add_to(scores))))
        if dropout_p > 0.0:
            weights = F.dropout(weights, dropout_p)
        weights = unwrap(self.attn_output_weights_quant(weights))
        return weights @ unwrap(self.v_quant(value)), weights


class ScaledDotProductAttention(nn.Module):
    """``torch.nn.functional.scaled_dot_product_attention`` as a module.

    Args:
        pre_process_q, pre_process_k, pre_process_v: functions applied to query, key and value
            first; None for none.
    """

    def __init__(
        self,
        pre_process_q: PreProcess = None,
        pre_process_k: PreProcess = None,
        pre_process_v: PreProcess = None,
    ) -> None:
        super().__init__()
        self.pre_process_q = pre_process_q
        self.pre_process_k = pre_process_k
        self.pre_process_v = pre_process_v

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """As the function; see :meth:`QuantScaledDotProductAttention.forward`."""
        return F.scaled_dot_product_attention(
            _processed(self.pre_process_q, query),
            _processed(self.pre_process_k, key),
            _processed(self.pre_process_v, value),
            attn_mask=attn_mask,
            dropout_p=dropout_p,
            is_causal=is_causal,
            scale=scale,
            enable_gqa=enable_gqa,
        )


class QuantScaledDotProductAttention(QuantAttention):
    """:class:`ScaledDotProductAttention` with quantizers.

    ``q_w(dropout(softmax(q_s(q_q(scale * Q) q_k(K^T) + mask)))) q_v(V)``, then ``q_out``. Positions
    that a mask blocks stay blocked behind ``q_s``: what blocks is set after it.

    Args:
        pre_process_q, pre_process_k, pre_process_v: functions applied to query, key and value
            first; None for none.
        softmax_input_quant: ``q_s``, quantizer of the scores; None unless given.
        attn_output_weights_quant: ``q_w``, of the attention weights; 8 bit unsigned unless given.
        q_scaled_quant, k_transposed_quant, v_quant: ``q_q``, ``q_k`` and ``q_v``, of the operands;
            8 bit unless given.
        sdpa_output_quant: ``q_out``, of the output; None unless given.
        return_quant_tensor: give a ``QuantTensor``; needs ``sdpa_output_quant``.
        softmax_input_*, attn_output_weights_*, q_scaled_*, k_transposed_*, v_*, sdpa_output_*:
            attributes that replace those of that quantizer.
    Raises:
        TypeError, ValueError: an argument that does not exist or does not fit.
    """

    sdpa_output_quant: ActQuantProxyFromInjector

    def __init__(
        self,
        pre_process_q: PreProcess = None,
        pre_process_k: PreProcess = None,
        pre_process_v: PreProcess = None,
        softmax_input_quant: Quantizer = None,
        attn_output_weights_quant: Quantizer = Uint8ActPerTensorFloat,
        q_scaled_quant: Quantizer = Int8ActPerTensorFloat,
        k_transposed_quant: Quantizer = Int8ActPerTensorFloat,
        v_quant: Quantizer = Int8ActPerTensorFloat,
        sdpa_output_quant: Quantizer = None,
        return_quant_tensor: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if return_quant_tensor and sdpa_output_quant is None:
            raise ValueError(
                "QuantScaledDotProductAttention: return_quant_tensor needs sdpa_output_quant, "
                "which is None; give a quantizer, or return plain tensors."
            )
        self.pre_process_q = pre_process_q
        self.pre_process_k = pre_process_k
        self.pre_process_v = pre_process_v
        self.return_quant_tensor = return_quant_tensor
        quantizers = {
            "q_scaled": q_scaled_quant,
            "k_transposed": k_transposed_quant,
            "softmax_input": softmax_input_quant,
            "attn_output_weights": attn_output_weights_quant,
            "v": v_quant,
            "sdpa_output": sdpa_output_quant,
        }
        self.set_attention_quantizers(quantizers, kwargs)

    def forward(
        self,
        query: Tensor | QuantTensor,
        key: Tensor | QuantTensor,
        value: Tensor | QuantTensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor | QuantTensor:
        """Attend.

        Args:
            query: [N, ..., Hq, L, E].
            key: [N, ..., H, S, E].
            value: [N, ..., H, S, Ev].
            attn_mask: broadcastable to [N, ..., Hq, L, S]; bool, True where a query may look, or
                float, added to the scores; minus infinity blocks.
            dropout_p: probability that a weight becomes zero, in evaluation too, as for torch's
                function.
            is_causal: query ``i`` looks at keys 0 to ``i``; not together with ``attn_mask``.
            scale: factor on the scores; ``1 / sqrt(E)`` unless given.
            enable_gqa: each key and value head serves ``Hq / H`` query heads.
        Returns:
            [N, ..., Hq, L, Ev]; zeros for a query that may look nowhere.
        Raises:
            ValueError: ``is_causal`` together with ``attn_mask``.
        """
        if is_causal and attn_mask is not None:
            raise ValueError(
                "QuantScaledDotProductAttention: is_causal and attn_mask are both given; put the "
                "causal mask into attn_mask."
            )
        q = unwrap(_processed(self.pre_process_q, query))
        k = unwrap(_processed(self.pre_process_k, key))
        v = unwrap(_processed(self.pre_process_v, value))
        if is_causal:
            shape = q.shape[-2], k.shape[-2]
            attn_mask = torch.ones(shape, dtype=torch.bool, device=q.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = attn_mask.logical_not()
        if enable_gqa:
            k = k.repeat_interleave(q.shape[-3] // k.shape[-3], -3)
            v = v.repeat_interleave(q.shape[-3] // v.shape[-3], -3)
        factor = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
        attended, _ = self.attend(q * factor, k, v, Mask.of(attn_mask), dropout_p)
        out = self.sdpa_output_quant(attended)
        return returned(out, self.return_quant_tensor, self.training)


def _processed(function: PreProcess, x: Any) -> Any:
    return x if function is None else function(x)
