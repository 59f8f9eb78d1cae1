"""The bottleneck VAE_i: an encoding to a diagonal Gaussian, its sample, and its divergence from the prior.

Most compared methods have bottlenecks too, of other shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from omib_cli.fusion.posterior import Posterior, kl_to_prior
from omib_cli.nn.batch import Batch

LOG_VARIANCE_LIMIT = 10.0


class Bottleneck(nn.Module):
    """VAE_i of Equation 5 (Appendix H: a two-layer MLP with two heads).

    Parameters
    ----------
    width, latent
        d and k.
    posterior
        ``log-variance``: the second head is the log-variance, clamped to +-10;
        ``softplus``: it is s with sigma = softplus(s - shift) (Mai et al. 2023, who have 5: almost deterministic at
        the start).
    hidden
        Widths of the hidden layers, one of d by default; none makes mean and scale linear in the encoding.
    activation
        After each hidden layer.
    bias
        Whether the hidden layers and the mean may have one; sigma, which predicts nothing, always has.
    """

    def __init__(
        self,
        width: int,
        latent: int,
        posterior: str,
        *,
        hidden: Sequence[int] | None = None,
        activation: type[nn.Module] = nn.GELU,
        shift: float = 5.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        widths = [width, *([width] if hidden is None else hidden)]
        layers = [(nn.Linear(*each, bias=bias), activation()) for each in pairwise(widths)]
        self.trunk = nn.Sequential(*chain.from_iterable(layers))
        self.mean = nn.Linear(widths[-1], latent, bias=bias)
        self.scale = nn.Linear(widths[-1], latent)
        self.posterior, self.shift = posterior, shift

    def forward(self, z: torch.Tensor) -> Posterior:
        """(B, d) to a posterior."""
        hidden = self.trunk(z)
        mean, scale = self.mean(hidden), self.scale(hidden)
        if self.posterior == "softplus":
            return Posterior(mean, 2.0 * torch.log(F.softplus(scale - self.shift) + 1e-6))
        limited = F.hardtanh(scale, -LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)  # clamp, in one pass backward
        return Posterior(mean, limited)


def posteriors_of(bottlenecks: nn.ModuleList, z: Sequence[torch.Tensor], batch: Batch) -> list[Posterior]:
    """Equation 5: M x (B, d_i) to M posteriors, each by its own bottleneck; the prior where the modality is missing."""
    return prior_where_missing([bottleneck(zi) for bottleneck, zi in zip(bottlenecks, z, strict=True)], batch)


def prior_where_missing(posteriors: Sequence[Posterior], batch: Batch) -> list[Posterior]:
    """Where a modality was not seen there is no information, and no KL: N(0, I), in M posteriors of (B, k)."""
    return [Posterior(*(batch.fill(values, i) for values in each)) for i, each in enumerate(posteriors)]


def kl_losses(posteriors: Sequence[Posterior], batch: Batch, reduction: str) -> list[torch.Tensor]:
    """Each modality's mean KL to the prior, over the samples that have it: M scalars."""
    return [batch.mean(kl_to_prior(each, reduction), i) for i, each in enumerate(posteriors)]


def kl_between(p: Posterior, q: Posterior) -> torch.Tensor:
    """KL(p || q) of two diagonal Gaussians, summed over dimensions, in nats per sample: (B,)."""
    gap = p.log_variance.float() - q.log_variance.float()
    distance = (p.mean.float() - q.mean.float()).square() / q.log_variance.float().exp()
    return 0.5 * (gap.exp() + distance - gap - 1.0).sum(dim=-1)
