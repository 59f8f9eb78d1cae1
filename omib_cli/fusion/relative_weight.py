"""The relative weights r_i (Equations 11 and 68): how much to regularise a modality, relative to the first.

r = 1 - tanh(ln rho) with rho the ratio of divergences between a branch's prediction and the embedding's. In closed
form r = 2 / (1 + rho^2), which needs no logarithm: rho = 1 gives 1, rho = 0 gives 2, rho = infinity gives 0.
A modality that still knows what the embedding does not (large rho) is compressed less.
"""

from __future__ import annotations

import torch

from omib_cli.distributed.processes import all_reduce_sum
from omib_cli.nn.batch import Batch

EPSILON = 1e-8
"""Nats added to each divergence, so that two perfect branches compare as equals."""


def log_rho(divergences: torch.Tensor, batch: Batch, estimator: str) -> torch.Tensor:
    """ln rho of every modality but the first, (M - 1,), from (M, B) divergences KL(p(y_i) || p(y)).

    ``ratio-of-means`` estimates E[KL_i] / E[KL_1], the quantity derived in Equation 49; ``mean-of-ratios`` is
    Equations 11, 33 and 68 to the letter. With missing modalities each pair is compared on the samples that have both;
    a batch without such samples counts as rho = 1.

    A ratio is no sum over samples: of a batch that is divided among processes, numerators and denominators are summed
    over them, **in a message of its own**, which is the only one that a loss sends. Of micro-batches that come in
    turn, each has a ratio of its own.
    """
    first, *others = (divergences.clamp_min(0.0) + EPSILON).unbind()
    if estimator == "mean-of-ratios":
        above, below = [other / first for other in others], [torch.ones_like(first)] * len(others)
    else:
        above, below = others, [first] * len(others)
    pairs = [*enumerate(above, start=1), *enumerate(below, start=1)]
    means = torch.stack([batch.mean(values, 0, i) for i, values in pairs])
    if batch.at_once:
        means = all_reduce_sum(means.detach().clone())
    numerators, denominators = means.chunk(2)
    known = denominators > 0.0
    return torch.where(known, numerators, 1.0).log() - torch.where(known, denominators, 1.0).log()


def relative_weights(log_ratio: torch.Tensor) -> torch.Tensor:
    """r = 1 - tanh(ln rho), computed as 2 / (1 + rho^2) = 2 sigmoid(-2 ln rho), which cannot overflow: (M - 1,)."""
    return 2.0 * torch.sigmoid(-2.0 * log_ratio)
