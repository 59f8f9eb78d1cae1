"""Mutual information of jointly Gaussian data in closed form: an estimator for such data, the yardstick for others."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EXACT_COPY = 1e-9
"""A canonical correlation with 1 - rho^2 below this is that of a copy: the information is infinite."""
NEGLIGIBLE = 1e-10
"""Share of the largest variance below which a direction counts as constant."""


def canonical_correlations(x: Tensor, z: Tensor) -> tuple[Tensor, int, int]:
    """Canonical correlations of x (N, Dx) and z (N, Dz), and the ranks of both.

    Returns
    -------
    tuple
        (min(rank x, rank z),) float64 in [0, 1], largest first; rank of x; rank of z.
    """
    white_x, white_z = _whitened(x), _whitened(z)
    correlations = torch.linalg.svdvals(white_x.T @ white_z / len(x)).clamp(0.0, 1.0)
    return correlations, white_x.shape[1], white_z.shape[1]


def gaussian_information(x: Tensor, z: Tensor) -> float:
    """-1/2 ln det S / (det S_x det S_z) = -1/2 sum ln(1 - rho_k^2) over canonical correlations, less its bias.

    The bias of the plug-in value is known exactly for Gaussian data of any dimension (:func:`plug_in_bias`), so no
    shrinkage is needed while samples outnumber dimensions.

    Returns
    -------
    float
        Nats; infinite where a direction of one is a copy of the other's, or samples do not outnumber dimensions.
    """
    correlations, rank_x, rank_z = canonical_correlations(x, z)
    gaps = 1.0 - correlations.square()
    if rank_x + rank_z >= len(x) - 1 or (len(gaps) and float(gaps.min()) < EXACT_COPY):
        return math.inf
    return float(-0.5 * gaps.log().sum()) - plug_in_bias(len(x), rank_x, rank_z)


def plug_in_bias(samples: int, dim_x: int, dim_z: int) -> float:
    """Expected excess of the plug-in value over the truth, in nats.

    ln det of a Wishart matrix with nu = N - 1 degrees of freedom exceeds the true one by
    sum_i psi((nu - i + 1) / 2) - ln(nu / 2) on average (Misra, Singh & Demchuk 2005); the bias is half of
    that of x, plus half of that of z, less half of that of both together.
    """

    def excess(dim: int) -> float:
        order = torch.arange(samples - dim, samples, dtype=torch.float64) / 2.0
        return float((torch.special.digamma(order) - math.log((samples - 1) / 2.0)).sum())

    return 0.5 * (excess(dim_x) + excess(dim_z) - excess(dim_x + dim_z))


def true_information(dimensions: int, correlation: float) -> float:
    """-d/2 ln(1 - rho^2): d independent pairs of standard Gaussians with correlation rho."""
    return -0.5 * dimensions * math.log(1.0 - correlation**2)


def _whitened(values: Tensor) -> Tensor:
    centred = values.double() - values.double().mean(0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
    kept = variances > NEGLIGIBLE * variances[-1].clamp_min(1e-300)
    result: Tensor = centred @ (directions[:, kept] / variances[kept].sqrt())
    return result
