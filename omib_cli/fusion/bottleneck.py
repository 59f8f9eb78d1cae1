"""The bottleneck VAE_i: an encoding to a diagonal Gaussian, its sample, and its divergence from the prior.

Most compared methods have bottlenecks too, of other shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from omib_cli.fusion.base import column, mean_present, where_present
from omib_cli.fusion.posterior import Posterior, kl_to_prior

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
        Width of the hidden layer, d by default; 0 for none.
    activation
        After the hidden layer.
    bias
        Whether the hidden layer and the mean may have one; sigma, which predicts nothing, always has.
    """

    def __init__(
        self,
        width: int,
        latent: int,
        posterior: str,
        *,
        hidden: int | None = None,
        activation: type[nn.Module] = nn.GELU,
        shift: float = 5.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        hidden = width if hidden is None else hidden
        self.trunk = nn.Sequential(nn.Linear(width, hidden, bias=bias), activation()) if hidden else nn.Identity()
        self.mean = nn.Linear(hidden or width, latent, bias=bias)
        self.scale = nn.Linear(hidden or width, latent)
        self.posterior, self.shift = posterior, shift

    def forward(self, z: torch.Tensor, present: torch.Tensor | None = None) -> Posterior:
        """(B, d) to a posterior; where the modality is missing (``present`` (B,) False) it is the prior N(0, I)."""
        hidden = self.trunk(z)
        mean, scale = self.mean(hidden), self.scale(hidden)
        if self.posterior == "softplus":
            log_variance = 2.0 * torch.log(F.softplus(scale - self.shift) + 1e-6)
        else:
            log_variance = F.hardtanh(scale, -LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)  # clamp, in one pass backward
        return prior_where_missing(Posterior(mean, log_variance), present)


def prior_where_missing(posterior: Posterior, present: torch.Tensor | None) -> Posterior:
    """Where nothing was seen (``present`` (B,) False) there is no information, and no KL: N(0, I)."""
    return Posterior(*(where_present(each, present) for each in posterior))


def posteriors_of(
    bottlenecks: nn.ModuleList, z: Sequence[torch.Tensor], present: torch.Tensor | None
) -> list[Posterior]:
    """M x (B, d_i) to M posteriors, each by its own bottleneck."""
    return [each(zi, column(present, i)) for i, (each, zi) in enumerate(zip(bottlenecks, z, strict=True))]


def kl_losses(posteriors: Sequence[Posterior], present: torch.Tensor | None, reduction: str) -> list[torch.Tensor]:
    """Each modality's mean KL to the prior, over the samples that have it: M scalars."""
    return [mean_present(kl_to_prior(each, reduction), column(present, i)) for i, each in enumerate(posteriors)]


def kl_between(p: Posterior, q: Posterior) -> torch.Tensor:
    """KL(p || q) of two diagonal Gaussians, summed over dimensions, in nats per sample: (B,)."""
    gap = p.log_variance.float() - q.log_variance.float()
    distance = (p.mean.float() - q.mean.float()).square() / q.log_variance.float().exp()
    return 0.5 * (gap.exp() + distance - gap - 1.0).sum(dim=-1)
