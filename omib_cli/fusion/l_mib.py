"""L-MIB, the late-fusion bottleneck (Mai et al. 2023).

zeta_i ~ V_i(z_i), u = F(zeta_1..zeta_M), L = 2 T(D(u)) + sum_i (T(D_i(zeta_i)) + beta KL_i).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.base import Fused, StepLosses, Term, each_where_present, weighted
from omib_cli.fusion.bottleneck import kl_losses, posteriors_of
from omib_cli.fusion.joined import ConcatLayer
from omib_cli.fusion.mib import Mib
from omib_cli.recipe.fusion import MibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class LMib(Mib):
    """A bottleneck V_i and a head D_i for each modality, then the layer F. Adapted as fusion/mib.py says."""

    def __init__(self, options: MibOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.bottlenecks = nn.ModuleList(self.encoder(d) for d in widths.values())
        self.branches = nn.ModuleList(task.make_head(self.latent, head) for _ in widths)
        self.join = ConcatLayer(len(widths) * self.latent, self.latent, task.bias)

    def losses(self, z: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None) -> StepLosses:
        """J of each modality, and what the method adds for all of them."""
        posteriors = posteriors_of(self.bottlenecks, z, present)
        codes = each_where_present([each.sample() for each in posteriors], present)
        own = self.branch_losses(self._predictions(codes), label, present)
        kl = kl_losses(posteriors, present, "mean")
        each = [*self.per_modality("trb", 1.0, own), *self.per_modality("kl", self.options.kl, kl)]
        return weighted([*self.joint_loss(self.join(codes), label), *each])

    def fuse(self, z: Sequence[torch.Tensor], present: torch.Tensor | None) -> Fused:
        """Inference with means."""
        posteriors = posteriors_of(self.bottlenecks, z, present)
        means = [each.mean for each in posteriors]
        u = self.embed(self.join(means))
        spread = self.by_name(posteriors)
        return Fused(u, self.head(u), self.by_name(self._predictions(means)), spread)

    def joint_loss(self, x: torch.Tensor, label: torch.Tensor) -> list[Term]:
        """T of the joined codes (B, k)."""
        return [self.main_loss(x, label)]

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """The embedding that the joined codes (B, k) become: they are it."""
        return x

    def _predictions(self, codes: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [branch(code) for branch, code in zip(self.branches, codes, strict=True)]
