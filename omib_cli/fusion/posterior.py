"""What a bottleneck makes of an encoding: a diagonal Gaussian, its sample, and its divergence from the prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from omib_cli.nn.batch import Batch


class Posterior(NamedTuple):
    """p(zeta_i | z_i): a Gaussian with mean (B, k) and diagonal log-variance (B, k)."""

    mean: torch.Tensor
    log_variance: torch.Tensor

    @property
    def sd(self) -> torch.Tensor:
        """Standard deviation (B, k)."""
        return torch.exp(0.5 * self.log_variance)

    def sample(self, batch: Batch) -> torch.Tensor:
        """zeta = mu + sigma * eps (Equation 6, with sigma the standard deviation, which is what makes it a sample)."""
        return self.mean + self.sd * batch.randn(self.mean)


def draw(posteriors: Sequence[Posterior], batch: Batch) -> list[torch.Tensor]:
    """A draw of every zeta_i (Equation 6): M x (B, k)."""
    return [posterior.sample(batch) for posterior in posteriors]


def fixed_noise(count: int, posteriors: Sequence[Posterior]) -> torch.Tensor:
    """Standard normal noise (count, M, k), in pairs of opposite sign, always the same.

    A sample's draws are then its own, whatever samples it comes with.
    """
    like = posteriors[0].mean
    generator = torch.Generator().manual_seed(0)
    half = torch.randn((count + 1) // 2, len(posteriors), like.shape[-1], generator=generator)
    return torch.cat([half, -half])[:count].to(like)


def kl_to_prior(posterior: Posterior, reduction: str) -> torch.Tensor:
    """KL(N(mu, sigma^2) || N(0, I)) in nats per sample, (B,): Equation 10's regulariser, in closed form.

    ``sum`` over the latent dimensions is the divergence itself, which the theory speaks of; ``mean`` is 1/k of it.
    """
    mean, log_variance = posterior.mean.float(), posterior.log_variance.float()
    terms = mean.square() + log_variance.exp() - log_variance - 1.0
    return 0.5 * (terms.sum(dim=-1) if reduction == "sum" else terms.mean(dim=-1))
