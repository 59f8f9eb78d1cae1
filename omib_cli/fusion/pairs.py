"""Losses about pairs of modalities: their mean over all pairs, on the samples that have both; critics of pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from omib_cli.nn.batch import Batch


def pairs_of(count: int) -> list[tuple[int, int]]:
    """(0, 1), (0, 2), .., (1, 2), ..: every pair once."""
    return list(combinations(range(count), 2))


def mean_of_pairs(count: int, loss: Callable[[int, int], torch.Tensor]) -> torch.Tensor:
    """Mean over pairs (i, j) of a scalar loss."""
    return torch.stack([loss(i, j) for i, j in pairs_of(count)]).mean()


class PairCritics(nn.Module):
    """For each pair of modalities, a network f that tells codes of one sample from codes of two.

    Parameters
    ----------
    count, latent
        M and k.
    hidden
        Widths of f's hidden layers, with ReLU.
    """

    def __init__(self, count: int, latent: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.count = count
        self.critics = nn.ModuleList(_critic(latent, hidden) for _ in pairs_of(count))

    def forward(self, codes: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        """The mean over pairs of -log D(a, b) - log(1 - D(a, b')), D = sigmoid(f): M x (B, k) to a scalar.

        b' is b of the sample before in the batch. This is binary cross-entropy, and minus the Jensen-Shannon bound
        on the mutual information of a and b. In a batch of one, b' is b.
        """
        critics = dict(zip(pairs_of(self.count), self.critics, strict=True))

        def contrast(i: int, j: int) -> torch.Tensor:
            a, b = codes[i], codes[j]
            other, apart = b.roll(1, dims=0), batch.has(i) & batch.has(j).roll(1, dims=0)
            matched, mixed = (critics[i, j](torch.cat([a, each], dim=-1)).squeeze(-1).float() for each in (b, other))
            return batch.mean(F.softplus(-matched), i, j) + batch.mean_within(F.softplus(mixed), apart)

        return mean_of_pairs(self.count, contrast)


def _critic(latent: int, hidden: Sequence[int]) -> nn.Sequential:
    widths = [2 * latent, *hidden]
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1))
