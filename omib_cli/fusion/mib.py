"""What E-MIB, L-MIB and C-MIB have in common (Mai, Zeng and Hu 2023).

V is a bottleneck with one wide hidden layer and sigma = softplus(s - 5), F = ReLU(W [x_1; ..; x_M] + b) joins vectors,
D is a prediction head, T the task's loss, and J = T + beta KL(V || N(0, I)) with KL averaged over dimensions. All three
count the embedding's own loss twice, since the published code adds it to a sum that has it already.

Adapted: noise in training only (the published code draws at inference too); the task's heads, of which each has a
centre of its own in anomaly detection. The source's loss for sentiment is `task: {kind: regression, loss: l1}`.
"""

from __future__ import annotations

import torch
from torch import nn

from omib_cli.fusion.base import FusionMethod, Term
from omib_cli.fusion.bottleneck import Bottleneck
from omib_cli.fusion.posterior import Posterior, kl_to_prior
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import MibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class Mib(FusionMethod):
    """The head D of the embedding, and its loss."""

    def __init__(self, options: MibOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.options = options
        self.latent = options.latent or next(iter(widths.values()))
        self.head = task.make_head(self.latent, head)

    def encoder(self, width: int) -> Bottleneck:
        """V: (B, width) to a posterior (B, k)."""
        return Bottleneck(
            width, self.latent, "softplus", hidden=[self.options.hidden], activation=nn.ReLU, bias=self.task.bias
        )

    def main_loss(self, u: torch.Tensor, batch: Batch) -> Term:
        """T of the embedding."""
        return Term("task", self.options.main_weight, self.task_loss(self.head(u, batch), batch))

    def bottleneck_loss(self, posterior: Posterior, batch: Batch) -> list[Term]:
        """J of a bottleneck (B, k) on everything, of which the embedding is a draw."""
        kl = batch.mean(kl_to_prior(posterior, "mean"))
        return [self.main_loss(posterior.sample(batch), batch), Term("kl", self.options.kl, kl)]
