"""C-MIB, the complete bottleneck (Mai et al. 2023): L-MIB, and a bottleneck on what it joins.

zeta_i ~ V_i(z_i), zeta ~ V(F(zeta_1..zeta_M)), L = 2 T(D(zeta)) + beta KL + sum_i (T(D_i(zeta_i)) + beta KL_i).
"""

from __future__ import annotations

import torch

from omib_cli.fusion.base import Term
from omib_cli.fusion.l_mib import LMib
from omib_cli.fusion.posterior import Posterior
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import CMibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class CMib(LMib):
    """Bottlenecks before and after the layer F. Adapted as fusion/mib.py says."""

    def __init__(self, options: CMibOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.bottleneck = self.encoder(self.latent)

    def joint_loss(self, x: torch.Tensor, batch: Batch) -> list[Term]:
        """J of the joined codes (B, k)."""
        return self.bottleneck_loss(self.bottleneck(x), batch)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of the joined codes' bottleneck (B, k)."""
        posterior: Posterior = self.bottleneck(x)
        return posterior.mean
