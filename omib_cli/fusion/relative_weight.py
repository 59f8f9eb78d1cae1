"""The relative weights r_i (Equations 11 and 68): how much to regularise a modality, relative to the first.

r = 1 - tanh(ln rho) with rho the ratio of divergences between a branch's prediction and the embedding's. In closed
form r = 2 / (1 + rho^2), which needs no logarithm: rho = 1 gives 1, rho = 0 gives 2, rho = infinity gives 0.
A modality that still knows what the embedding does not (large rho) is compressed less.
"""

from __future__ import annotations

import torch

from omib_cli.fusion.base import both as both_present
from omib_cli.fusion.base import column, means_of_whole

EPSILON = 1e-8
"""Nats added to each divergence, so that two perfect branches compare as equals."""


def log_rho(divergences: torch.Tensor, present: torch.Tensor | None, estimator: str) -> torch.Tensor:
    """ln rho of every modality but the first, (M - 1,), from (M, B) divergences KL(p(y_i) || p(y)).

    ``ratio-of-means`` estimates E[KL_i] / E[KL_1], the quantity derived in Equation 49; ``mean-of-ratios`` is
    Equation 11 to the letter. With missing modalities each pair is compared on the samples that have both; a batch
    without such samples counts as rho = 1.
    """
    first, *others = (divergences.clamp_min(0.0) + EPSILON).unbind()
    both = [both_present(column(present, 0), column(present, i + 1)) for i in range(len(others))]
    if estimator == "mean-of-ratios":
        means, counts = means_of_whole([other / first for other in others], both)
        found = means.log()
    else:
        means, counts = means_of_whole([*others, *[first] * len(others)], [*both, *both])
        found = means[: len(others)].log() - means[len(others) :].log()
    return found if present is None else torch.where(counts[: len(others)] > 0, found, torch.zeros_like(found))


def relative_weights(log_ratio: torch.Tensor) -> torch.Tensor:
    """r = 1 - tanh(ln rho), computed as 2 / (1 + rho^2) = 2 sigmoid(-2 ln rho), which cannot overflow: (M - 1,)."""
    return 2.0 * torch.sigmoid(-2.0 * log_ratio)
