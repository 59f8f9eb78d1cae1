"""MMIB for sentiment (Zhang et al. 2022), rebuilt from the abstract: neither code nor full text could be had.

The abstract maximises the information that codes of two modalities have about each other and minimises what each has
about its own input. In the terms of the multi-view bottleneck that does the same (Federici et al. 2020):

    L = T(u) - w_m mean_ij I_JS(z_i; z_j) + w_k C,    C = sum_i KL(q(z_i | x_i) || N(0, I))

or C = the mean over pairs of (KL(q_i || q_j) + KL(q_j || q_i)) / 2, which bounds I(x_i; z_i | x_j).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.base import Fused, FusionMethod, StepLosses, Term, weighted
from omib_cli.fusion.bottleneck import Bottleneck, kl_between, kl_losses, posteriors_of
from omib_cli.fusion.joined import ConcatLayer
from omib_cli.fusion.pairs import PairCritics, mean_of_pairs
from omib_cli.fusion.posterior import Posterior, draw
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import MmibZhangOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class MmibZhang(FusionMethod):
    """A bottleneck for each modality, a critic for each pair, one layer that joins codes, and the head.

    Everything but the two principles is a choice made here; networks and sizes are those of Federici et al. Critics
    are trained with everything else, at the same rate.
    """

    def __init__(self, options: MmibZhangOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.options = options
        k, hidden = options.latent, options.hidden
        self.bottlenecks = nn.ModuleList(
            Bottleneck(d, k, "softplus", hidden=[hidden], activation=nn.ReLU, shift=0.0, bias=task.bias)
            for d in widths.values()
        )
        self.critics = PairCritics(len(widths), k, [hidden, hidden])
        self.join = ConcatLayer(len(widths) * k, k, task.bias)
        self.head = task.make_head(k, head)

    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """The task's loss, what codes do not say about each other, and what they say too much."""
        posteriors = posteriors_of(self.bottlenecks, z, batch)
        codes = batch.fill_each(draw(posteriors, batch))
        output = self.head(self.join(codes), batch)
        return weighted(
            [
                Term("task", 1.0, self.task_loss(output, batch)),
                Term("mutual", -self.options.mutual, -self.critics(codes, batch)),
                *self._compression(posteriors, batch),
            ]
        )

    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference with the mean of every code."""
        posteriors = posteriors_of(self.bottlenecks, z, batch)
        u = self.join([each.mean for each in posteriors])
        return Fused(u, self.head(u, batch), posteriors=self.by_name(posteriors))

    def _compression(self, posteriors: Sequence[Posterior], batch: Batch) -> list[Term]:
        if self.options.compress == "kl":
            return self.per_modality("kl", self.options.kl, kl_losses(posteriors, batch, "sum"))

        def symmetric(i: int, j: int) -> torch.Tensor:
            p, q = posteriors[i], posteriors[j]
            return 0.5 * batch.mean(kl_between(p, q) + kl_between(q, p), i, j)

        return [Term("skl", self.options.kl, mean_of_pairs(len(posteriors), symmetric))]
