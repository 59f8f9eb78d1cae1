"""L-MIB, the late-fusion bottleneck (Mai et al. 2023).

zeta_i ~ V_i(z_i), u = F(zeta_1..zeta_M), L = 2 T(D(u)) + sum_i (T(D_i(zeta_i)) + beta KL_i).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.base import Fused, StepLosses, Term, weighted
from omib_cli.fusion.bottleneck import kl_losses, posteriors_of
from omib_cli.fusion.joined import ConcatLayer
from omib_cli.fusion.mib import Mib
from omib_cli.fusion.posterior import draw
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import MibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class LMib(Mib):
    """A bottleneck V_i and a head D_i for each modality, then the layer F. Adapted as fusion/mib.py says."""

    def __init__(self, options: MibOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.bottlenecks = nn.ModuleList(self.encoder(d) for d in widths.values())
        self.branches = nn.ModuleList(task.make_head(self.latent, head, i) for i in range(len(widths)))
        self.join = ConcatLayer(len(widths) * self.latent, self.latent, task.bias)

    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """J of each modality, and what the method adds for all of them."""
        posteriors = posteriors_of(self.bottlenecks, z, batch)
        codes = batch.fill_each(draw(posteriors, batch))
        own = self.branch_losses(self._predictions(codes, batch), batch)
        kl = kl_losses(posteriors, batch, "mean")
        each = [*self.per_modality("trb", 1.0, own), *self.per_modality("kl", self.options.kl, kl)]
        return weighted([*self.joint_loss(self.join(codes), batch), *each])

    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference with means."""
        posteriors = posteriors_of(self.bottlenecks, z, batch)
        means = [each.mean for each in posteriors]
        u = self.embed(self.join(means))
        spread = self.by_name(posteriors)
        return Fused(u, self.head(u, batch), self.by_name(self._predictions(means, batch)), spread)

    def joint_loss(self, x: torch.Tensor, batch: Batch) -> list[Term]:
        """T of the joined codes (B, k)."""
        return [self.main_loss(x, batch)]

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """The embedding that the joined codes (B, k) become: they are it."""
        return x

    def _predictions(self, codes: Sequence[torch.Tensor], batch: Batch) -> list[torch.Tensor]:
        return [branch(code, batch) for branch, code in zip(self.branches, codes, strict=True)]
