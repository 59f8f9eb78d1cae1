"""E-MIB, the early-fusion bottleneck (Mai et al. 2023): x = F(z), zeta ~ V(x), L = 2 T(D(zeta)) + beta KL."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from omib_cli.fusion.base import Fused, StepLosses, weighted
from omib_cli.fusion.joined import ConcatLayer
from omib_cli.fusion.mib import Mib
from omib_cli.fusion.posterior import Posterior
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import EMibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class EMib(Mib):
    """One bottleneck, on the joined encodings. Adapted as fusion/mib.py says."""

    def __init__(self, options: EMibOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.join = ConcatLayer(sum(widths.values()), self.latent, task.bias)
        self.bottleneck = self.encoder(self.latent)

    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """J of the embedding, its T once more."""
        return weighted(self.bottleneck_loss(self._posterior(z, batch), batch))

    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference with the mean."""
        u = self._posterior(z, batch).mean
        return Fused(u, self.head(u, batch))

    def _posterior(self, z: Sequence[torch.Tensor], batch: Batch) -> Posterior:
        posterior: Posterior = self.bottleneck(self.join(batch.fill_each(z)))
        return posterior
