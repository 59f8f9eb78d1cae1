"""MMIB for social media (Cui et al. 2024): noisy codes, aligned with each other, fused by attention.

    L = T(u) + w_a L_align + w_k sum_i KL(q(z_i | x_i) || N(0, I)),    KL averaged over dimensions

Attention goes from every other modality to the base b, and back: R_j = CA(z_j, z_b), u = CA(z_b, R).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.attention import key_padding
from omib_cli.fusion.base import Fused, FusionMethod, StepLosses, Term, each_where_present, weighted
from omib_cli.fusion.bottleneck import LOG_VARIANCE_LIMIT, kl_losses, posteriors_of, prior_where_missing
from omib_cli.fusion.pairs import PairCritics
from omib_cli.fusion.posterior import Posterior
from omib_cli.recipe.fusion import MmibCuiOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class MmibCui(FusionMethod):
    """Attention blocks that make codes, critics that align them, attention blocks that fuse them.

    Adapted: an encoding is a sequence of one token, and one of another width than k is first mapped to it; any number
    of modalities, the base attending to all the others; a critic with one output and a hidden layer (the source's has
    as many outputs as features, all with the same target); the task's loss is a mean over the batch throughout (the
    source sums it in one of its tasks); inference takes means, which the source does in one of its tasks.
    """

    def __init__(self, options: MmibCuiOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.options = options
        k = options.latent or next(iter(widths.values()))
        self.base = 0 if options.base is None else self.names.index(options.base)
        self.others = [i for i in range(len(widths)) if i != self.base]

        def block() -> AttentionBlock:
            return AttentionBlock(k, options.heads, options.dropout, task.bias)

        self.bottlenecks = nn.ModuleList(
            AttentionBottleneck(d, k, block(), block(), task.bias) for d in widths.values()
        )
        self.critics = PairCritics(len(widths), k, [k])
        self.to_base = nn.ModuleList(block() for _ in self.others)
        self.to_others = block()
        self.head = task.make_head(k, head)

    def losses(self, z: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None) -> StepLosses:
        """The task's loss, the alignment of codes, and each modality's KL."""
        posteriors = posteriors_of(self.bottlenecks, z, present)
        codes = each_where_present([each.sample() for each in posteriors], present)
        kl = kl_losses(posteriors, present, "mean")
        return weighted(
            [
                Term("task", 1.0, self.task.loss(self.head(self._attend(codes, present)), label).mean()),
                Term("align", self.options.align, self.critics(codes, present)),
                *self.per_modality("kl", self.options.kl, kl),
            ]
        )

    def fuse(self, z: Sequence[torch.Tensor], present: torch.Tensor | None) -> Fused:
        """Inference with the mean of every code."""
        posteriors = posteriors_of(self.bottlenecks, z, present)
        u = self._attend([each.mean for each in posteriors], present)
        return Fused(u, self.head(u), posteriors=self.by_name(posteriors))

    def _attend(self, codes: Sequence[torch.Tensor], present: torch.Tensor | None) -> torch.Tensor:
        """Codes M x (B, k), 0 where missing, to u (B, k)."""
        tokens = [code[:, None] for code in codes]
        base = tokens[self.base]
        asked = [attend(tokens[j], base) for attend, j in zip(self.to_base, self.others, strict=True)]
        here = None if present is None else present[:, self.others]
        keys = torch.cat(each_where_present(asked, here), dim=1)
        u: torch.Tensor = self.to_others(base, keys, key_padding(here)).squeeze(1)
        return u


class AttentionBlock(nn.Module):
    """CA(q, kv): a = LN(q + attention(q, kv, kv)), then LN(a + W a)."""

    def __init__(self, width: int, heads: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout, bias=bias, batch_first=True)
        self.first, self.second = (nn.LayerNorm(width, bias=bias) for _ in range(2))
        self.linear = nn.Linear(width, width, bias=bias)

    def forward(self, query: torch.Tensor, keys: torch.Tensor, padding: torch.Tensor | None = None) -> torch.Tensor:
        """(B, 1, k), (B, T, k) and a mask of keys (B, T) to (B, 1, k)."""
        attended, _ = self.attention(query, keys, keys, key_padding_mask=padding, need_weights=False)
        a = self.first(query + attended)
        result: torch.Tensor = self.second(a + self.linear(a))
        return result


class AttentionBottleneck(nn.Module):
    """Mean and log-variance of a code, each from an attention block of its own over the encoding."""

    def __init__(self, width: int, latent: int, mean: AttentionBlock, log_variance: AttentionBlock, bias: bool) -> None:
        super().__init__()
        self.fit = nn.Identity() if width == latent else nn.Linear(width, latent, bias=bias)
        self.mean, self.log_variance = mean, log_variance

    def forward(self, z: torch.Tensor, present: torch.Tensor | None = None) -> Posterior:
        """(B, d) to a posterior (B, k); the prior where the modality is missing."""
        token = self.fit(z)[:, None]
        mean, log_variance = (block(token, token).squeeze(1) for block in (self.mean, self.log_variance))
        limited = log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)
        return prior_where_missing(Posterior(mean, limited), present)
