"""Attention with the projections of :class:`torch.nn.MultiheadAttention` and dropout that knows its batch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from omib_cli.nn.batch import Batch


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    batch: Batch,
    scale: float | None = None,
) -> torch.Tensor:
    """softmax(q k^T / sqrt(width)) v, with dropout of the softmax's entries (Vaswani et al. 2017).

    Parameters
    ----------
    query, key, value
        (B, heads, T, width).
    mask
        True where there is attention, or what is added to the scores; broadcast to (B, heads, T, T).
    """
    if dropout == 0.0 or batch.is_whole:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return batch.dropout(scores.softmax(dim=-1), dropout) @ value


def self_attention(
    own: nn.MultiheadAttention, tokens: torch.Tensor, mask: torch.Tensor | None, batch: Batch
) -> torch.Tensor:
    """What ``own`` makes of tokens (B, T, k) that attend to each other: (B, T, k), without its copies."""
    projected = F.linear(tokens, own.in_proj_weight, own.in_proj_bias).chunk(3, dim=-1)
    return _attended(own, projected[0], projected[1], projected[2], mask, batch)


def cross_attention(
    own: nn.MultiheadAttention, query: torch.Tensor, keys: torch.Tensor, there: torch.Tensor | None, batch: Batch
) -> torch.Tensor:
    """What ``own`` makes of queries (B, Q, k) that attend to keys (B, T, k): (B, Q, k).

    ``there`` (B, T) says which keys are attended to; None for all. Only a part of a batch needs more than torch's
    module, whose dropout would repeat the mask of the first rows.
    """
    if batch.is_whole:
        padding = None if there is None else ~there
        found: torch.Tensor = own(query, keys, keys, key_padding_mask=padding, need_weights=False)[0]
        return found
    mask = None if there is None else there[:, None, None]  # for all heads and queries
    weights = own.in_proj_weight.chunk(3)
    biases = (None, None, None) if own.in_proj_bias is None else own.in_proj_bias.chunk(3)
    q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, keys, keys), weights, biases, strict=True))
    return _attended(own, q, k, v, mask, batch)


def _attended(
    own: nn.MultiheadAttention,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    batch: Batch,
) -> torch.Tensor:
    def by_head(each: torch.Tensor) -> torch.Tensor:
        return each.view(*each.shape[:2], own.num_heads, -1).transpose(1, 2)  # (B, heads, T, k / heads)

    dropout = own.dropout if own.training else 0.0
    attended = attention(by_head(q), by_head(k), by_head(v), mask, dropout, batch)
    result: torch.Tensor = own.out_proj(attended.transpose(1, 2).flatten(2))
    return result
