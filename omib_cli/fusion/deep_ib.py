"""Deep IB: the deep multi-view information bottleneck (Wang et al. 2019).

L = T(z) + sum_i w_i KL(q(z_i | x_i) || N(0, I)),    z ~ N(mu, sigma^2) from ReLU(W [z_1; ..; z_M] + b)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.base import Fused, FusionMethod, StepLosses, Term, weighted
from omib_cli.fusion.bottleneck import Bottleneck, kl_losses, posteriors_of
from omib_cli.fusion.joined import ConcatLayer
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import DeepIbOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class DeepIb(FusionMethod):
    """A bottleneck for each modality, a noisy code of all, and the head on it.

    As in the source, what is fused is the mean of several draws of each modality's code, and there is no KL for the
    code of all. Adapted: the encoders stand for the hidden layers of the source's bottlenecks; losses are in nats (the
    source has both in bits, the same up to a factor); the head is the recipe's (the source's is linear); any number
    of modalities and any task; inference takes means in place of draws.
    """

    def __init__(self, options: DeepIbOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.options = options
        k, bias = options.latent or max(1, next(iter(widths.values())) // 2), task.bias
        self.bottlenecks = nn.ModuleList(Bottleneck(d, k, "softplus", hidden=(), bias=bias) for d in widths.values())
        self.join = ConcatLayer(len(widths) * k, 2 * k, bias)
        self.code = Bottleneck(2 * k, k, "softplus", hidden=(), bias=bias)
        self.head = task.make_head(k, head)

    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """The task's loss on a draw of the code, and each modality's KL."""
        posteriors = posteriors_of(self.bottlenecks, z, batch)
        codes = [
            torch.stack([each.sample(batch) for _ in range(self.options.draws)]).mean(dim=0) for each in posteriors
        ]
        u = self.code(self.join(batch.fill_each(codes))).sample(batch)
        kl = kl_losses(posteriors, batch, "sum")
        task = Term("task", 1.0, self.task_loss(self.head(u, batch), batch))
        return weighted([task, *self.per_modality("kl", self.options.kl, kl)])

    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference with the mean of every code."""
        posteriors = posteriors_of(self.bottlenecks, z, batch)
        u = self.code(self.join([each.mean for each in posteriors])).mean
        return Fused(u, self.head(u, batch), posteriors=self.by_name(posteriors))
