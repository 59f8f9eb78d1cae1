"""The cross-attention network CAN (Equation 7, Appendix H): zeta_1..zeta_M to the embedding xi.

Equation 105 concatenates "along the feature dimension", which is a single token: its softmax is over one key and
its query and key projections get no gradient. The cost O(N M^2) of Section 6.7 and the closing linear map "back to
the same dimensions" speak for one token per modality, which is the default; the other readings are options.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.nn.attention import self_attention
from omib_cli.nn.batch import Batch


class CrossAttention(nn.Module):
    """One attention layer over the modalities, then a linear map of all tokens to (B, k).

    Parameters
    ----------
    count, latent
        M and k.
    form
        ``tokens``: M tokens attend to each other; ``cross``: each attends to the others only; ``single``: one token
        of width M k (Equation 105 to the letter); ``none``: no attention, a linear map of the concatenation.
    heads
        Attention heads; they must divide the token width.
    norm
        Layer normalisation after the residual.
    bias
        Whether the normalisation and the closing linear map have a bias.
    """

    def __init__(self, count: int, latent: int, form: str, heads: int, norm: bool, bias: bool = True) -> None:
        super().__init__()
        self.form = form
        width = count * latent if form == "single" else latent
        if form != "none":
            self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
            self.norm: nn.Module = nn.LayerNorm(width, elementwise_affine=bias) if norm else nn.Identity()
        if form in ("tokens", "cross"):  # attention does not know which token is which
            self.modality = nn.Parameter(torch.randn(count, latent) * 0.02)
        self.out = nn.Linear(count * latent, latent, bias=bias)

    def forward(self, zeta: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        """M x (B, k), 0 where missing, to xi (B, k); missing modalities are not attended to."""
        if self.form == "none":
            xi: torch.Tensor = self.out(torch.cat(list(zeta), dim=-1))
            return xi
        if self.form == "single":
            tokens = torch.cat(list(zeta), dim=-1)[:, None]
            mask = None
        else:
            tokens = torch.stack(list(zeta), dim=1) + self.modality
            mask = self._mask(batch)
        tokens = self.norm(tokens + self_attention(self.attention, tokens, mask, batch))
        if self.form != "single" and not batch.complete:
            tokens = tokens * batch.present[..., None]
        result: torch.Tensor = self.out(tokens.flatten(1))
        return result

    def _mask(self, batch: Batch) -> torch.Tensor | None:
        """(M, M), or (B, 1, M, M) with missing modalities: True where there is attention; None for everywhere."""
        count = batch.present.shape[1]
        own = torch.eye(count, dtype=torch.bool, device=batch.present.device)
        if batch.complete:
            return ~own if self.form == "cross" else None
        barred = ~batch.present[:, None, :].expand(-1, count, -1)
        barred = barred | own if self.form == "cross" else barred
        barred = barred & ~(barred.all(dim=-1, keepdim=True) & own)  # a token with nobody to attend to keeps itself
        return ~barred[:, None]
