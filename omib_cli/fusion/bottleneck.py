"""The bottleneck VAE_i: an encoding to a diagonal Gaussian, its sample, and its divergence from the prior."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

LOG_VARIANCE_LIMIT = 10.0


class Posterior(NamedTuple):
    """p(zeta_i | z_i): a Gaussian with mean (B, k) and diagonal log-variance (B, k)."""

    mean: torch.Tensor
    log_variance: torch.Tensor

    @property
    def sd(self) -> torch.Tensor:
        """Standard deviation (B, k)."""
        return torch.exp(0.5 * self.log_variance)

    def sample(self) -> torch.Tensor:
        """zeta = mu + sigma * eps (Equation 6, with sigma the standard deviation, which is what makes it a sample)."""
        return self.mean + self.sd * torch.randn_like(self.mean)


class Bottleneck(nn.Module):
    """VAE_i of Equation 5 (Appendix H: a two-layer MLP with two heads).

    Parameters
    ----------
    width, latent
        d and k.
    posterior
        ``log-variance``: the second head is the log-variance, clamped to +-10;
        ``softplus``: it is s with sigma = softplus(s - 5) (Mai et al. 2023; starts almost deterministic).
    """

    def __init__(self, width: int, latent: int, posterior: str) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(width, width), nn.GELU())
        self.mean = nn.Linear(width, latent)
        self.scale = nn.Linear(width, latent)
        self.posterior = posterior

    def forward(self, z: torch.Tensor, present: torch.Tensor | None = None) -> Posterior:
        """(B, d) to a posterior; where the modality is missing (``present`` (B,) False) it is the prior N(0, I)."""
        hidden = self.trunk(z)
        mean, scale = self.mean(hidden), self.scale(hidden)
        if self.posterior == "softplus":
            log_variance = 2.0 * torch.log(F.softplus(scale - 5.0) + 1e-6)
        else:
            log_variance = scale.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)
        if present is not None:  # nothing was seen: no information, and no KL
            mean = torch.where(present[:, None], mean, 0.0)
            log_variance = torch.where(present[:, None], log_variance, 0.0)
        return Posterior(mean, log_variance)


def kl_to_prior(posterior: Posterior, reduction: str) -> torch.Tensor:
    """KL(N(mu, sigma^2) || N(0, I)) in nats per sample, (B,): Equation 10's regulariser, in closed form.

    ``sum`` over the latent dimensions is the divergence itself, which the theory speaks of; ``mean`` is 1/k of it.
    """
    mean, log_variance = posterior.mean.float(), posterior.log_variance.float()
    terms = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0)
    return terms.sum(dim=-1) if reduction == "sum" else terms.mean(dim=-1)
