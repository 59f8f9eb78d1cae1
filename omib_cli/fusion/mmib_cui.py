"""MMIB for social media (Cui et al. 2024): noisy codes, aligned with each other, fused by attention.

    L = T(u) + w_a L_align + w_k sum_i KL(q(z_i | x_i) || N(0, I)),    KL averaged over dimensions

Attention goes from every other modality to the base b, and back: R_j = CA(z_j, z_b), u = CA(z_b, R).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.base import Fused, FusionMethod, StepLosses, Term, weighted
from omib_cli.fusion.bottleneck import LOG_VARIANCE_LIMIT, kl_losses, prior_where_missing
from omib_cli.fusion.pairs import PairCritics
from omib_cli.fusion.posterior import Posterior, draw
from omib_cli.nn.attention import cross_attention
from omib_cli.nn.batch import Batch
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

    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """The task's loss, the alignment of codes, and each modality's KL."""
        posteriors = self._posteriors(z, batch)
        codes = batch.fill_each(draw(posteriors, batch))
        kl = kl_losses(posteriors, batch, "mean")
        return weighted(
            [
                Term("task", 1.0, self.task_loss(self.head(self._attend(codes, batch), batch), batch)),
                Term("align", self.options.align, self.critics(codes, batch)),
                *self.per_modality("kl", self.options.kl, kl),
            ]
        )

    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference with the mean of every code."""
        posteriors = self._posteriors(z, batch)
        u = self._attend([each.mean for each in posteriors], batch)
        return Fused(u, self.head(u, batch), posteriors=self.by_name(posteriors))

    def _attend(self, codes: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        """Codes M x (B, k), 0 where missing, to u (B, k)."""
        tokens = [code[:, None] for code in codes]
        base = tokens[self.base]
        asked = [attend(tokens[j], base, batch) for attend, j in zip(self.to_base, self.others, strict=True)]
        keys = torch.cat([batch.fill(each, j) for each, j in zip(asked, self.others, strict=True)], dim=1)
        u: torch.Tensor = self.to_others(base, keys, batch, batch.keys(self.others)).squeeze(1)
        return u

    def _posteriors(self, z: Sequence[torch.Tensor], batch: Batch) -> list[Posterior]:
        """M x (B, d_i) to M posteriors; the prior where the modality is missing."""
        found = [bottleneck(zi, batch) for bottleneck, zi in zip(self.bottlenecks, z, strict=True)]
        return prior_where_missing(found, batch)


class AttentionBlock(nn.Module):
    """CA(q, kv): a = LN(q + attention(q, kv, kv)), then LN(a + W a)."""

    def __init__(self, width: int, heads: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout, bias=bias, batch_first=True)
        self.first, self.second = (nn.LayerNorm(width, bias=bias) for _ in range(2))
        self.linear = nn.Linear(width, width, bias=bias)

    def forward(
        self, query: torch.Tensor, keys: torch.Tensor, batch: Batch, there: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, 1, k), (B, T, k) and which keys (B, T) are attended to, None for all, to (B, 1, k)."""
        a = self.first(query + cross_attention(self.attention, query, keys, there, batch))
        result: torch.Tensor = self.second(a + self.linear(a))
        return result


class AttentionBottleneck(nn.Module):
    """Mean and log-variance of a code, each from an attention block of its own over the encoding."""

    def __init__(self, width: int, latent: int, mean: AttentionBlock, log_variance: AttentionBlock, bias: bool) -> None:
        super().__init__()
        self.fit = nn.Identity() if width == latent else nn.Linear(width, latent, bias=bias)
        self.mean, self.log_variance = mean, log_variance

    def forward(self, z: torch.Tensor, batch: Batch) -> Posterior:
        """(B, d) to a posterior (B, k)."""
        token = self.fit(z)[:, None]
        mean, log_variance = (block(token, token, batch).squeeze(1) for block in (self.mean, self.log_variance))
        return Posterior(mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))
