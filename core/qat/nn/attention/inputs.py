"""Checks of the sizes, tensors and masks given to multi-head attention."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from qat.nn.attention.mask import Mask


def check_sizes(embed_dim: int, num_heads: int, dropout: float) -> None:
    """Refuse heads that do not divide the features, and a dropout that is not a probability."""
    if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
        raise ValueError(
            f"QuantMultiheadAttention: embed_dim {embed_dim} does not divide into num_heads "
            f"{num_heads}; both are at least 1, and embed_dim is a multiple of num_heads."
        )
    if not 0.0 <= dropout <= 1.0:
        raise ValueError(
            f"QuantMultiheadAttention: dropout is {dropout}, a probability from 0 to 1."
        )


def check_inputs(query: Any, key: Any, value: Any, widths: tuple[int, int, int]) -> None:
    """Refuse nested tensors, and shapes that do not fit; ``widths`` are those of the features."""
    given = {"query": query, "key": key, "value": value}
    if any(x.is_nested for x in given.values()):
        raise NotImplementedError(
            "QuantMultiheadAttention does not take nested tensors; pad them, and give "
            "key_padding_mask."
        )
    for (name, x), width in zip(given.items(), widths, strict=True):
        if x.dim() != query.dim() or x.dim() not in (2, 3) or x.shape[-1] != width:
            raise ValueError(
                f"QuantMultiheadAttention: {name} has shape {tuple(x.shape)}; all three have 3 "
                f"dimensions, or 2 without a batch, and here the last is {width}."
            )


def check_is_causal(is_causal: bool, attn_mask: Tensor | None) -> None:
    """Refuse a hint about a mask that is not there."""
    if is_causal and attn_mask is None:
        raise ValueError(
            "QuantMultiheadAttention: is_causal is a hint about attn_mask, which is None; give "
            "the causal mask as attn_mask."
        )


def joined_masks(
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    sizes: tuple[int, int, int, int],
    added: int,
) -> Mask:
    """Both masks as one, broadcastable to the scores [N * heads, L, S + added].

    Args:
        key_padding_mask: [N, S], or None.
        attn_mask: [L, S] or [N * heads, L, S], or None.
        sizes: N, heads, L, S.
        added: keys behind the given ones, which no mask blocks.
    Raises:
        TypeError, ValueError: a mask of another type or shape.
    """
    batch, heads, length, keys = sizes
    both = Mask(None, None)
    if attn_mask is not None:
        _check_mask("attn_mask", attn_mask, [(length, keys), (batch * heads, length, keys)])
        both = Mask.of(F.pad(attn_mask, (0, added)))
    if key_padding_mask is not None:
        _check_mask("key_padding_mask", key_padding_mask, [(batch, keys)])
        padding = F.pad(key_padding_mask, (0, added))
        both = both.joined(Mask.of(padding.repeat_interleave(heads, 0).unsqueeze(1)))
    return both


def _check_mask(name: str, mask: Tensor, shapes: list[tuple[int, ...]]) -> None:
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(
            f"QuantMultiheadAttention: {name} is of type {mask.dtype}; it must be bool or float."
        )
    if tuple(mask.shape) not in shapes:
        raise ValueError(
            f"QuantMultiheadAttention: {name} has shape {tuple(mask.shape)}; for these inputs it "
            f"must be {' or '.join(map(str, shapes))}."
        )
