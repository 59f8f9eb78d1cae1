"""OMIB: the optimal multimodal information bottleneck (Equations 4-11 and 67-68), for any number of modalities.

Warm-up (Algorithm 1): each branch predicts from its encoding and noise, [z_i, e_i].
Main training (Algorithm 2): bottlenecks, cross-attention network and head make the embedding xi; it replaces the
noise in the branches; the loss is

    L = T(xi) + beta (KL_1 + sum_i r_i KL_i) + sum_i T(branch_i)        (Equation 10, plus the branches' Equation 4)

with T the task's loss, KL_i the divergence of bottleneck i from N(0, I), r_i the relative weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from omib_cli.fusion.attention import CrossAttention
from omib_cli.fusion.base import Fused, FusionMethod, StepLosses
from omib_cli.fusion.bottleneck import Bottleneck, posteriors_of
from omib_cli.fusion.posterior import draw, fixed_noise, kl_to_prior
from omib_cli.fusion.relative_weight import log_rho, relative_weights
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import OmibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class Predicted(NamedTuple):
    """The embedding (B, k), the prediction from it (B, C), and each branch's prediction, M x (B, C)."""

    xi: torch.Tensor
    y: torch.Tensor
    branches: list[torch.Tensor]


class Omib(FusionMethod):
    """Task-relevance branches, bottlenecks, cross-attention network and the head on the embedding.

    :attr:`beta` and :attr:`joint_information` are set before main training, by :meth:`set_beta`.
    """

    log_rho: torch.Tensor

    def __init__(self, options: OmibOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.options = options
        self.latent = options.latent or next(iter(widths.values()))
        k = self.latent
        self.branches = nn.ModuleList(task.make_head(d + k, head, i) for i, d in enumerate(widths.values()))
        if options.main_training == "without-omf":
            self.head = task.make_head(sum(widths.values()), head)
        else:
            self.bottlenecks = nn.ModuleList(
                Bottleneck(d, k, options.posterior, hidden=options.bottleneck.hidden) for d in widths.values()
            )
            self.attention = CrossAttention(len(widths), k, options.attention, options.heads, options.norm, task.bias)
            self.head = task.make_head(k, head)
        self.register_buffer("log_rho", torch.zeros(len(widths) - 1))
        self.beta = 0.0
        self.joint_information = 1.0

    def set_beta(self, beta: float, joint_information: float) -> None:
        """Set the redundancy weight, and the estimate of H(v_1..v_M) in nats that ``task_scale`` may divide by."""
        self.beta = beta
        if self.options.task_scale == "joint-information":
            self.joint_information = joint_information

    def warmed_up(self) -> nn.Module:
        """The branches' heads."""
        return self.branches

    def warmup_losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """Algorithm 1: each branch on its encoding and fresh noise e_i ~ N(0, I_k)."""
        outputs = torch.stack([self._branch(i, zi, self._noise(zi, batch), batch) for i, zi in enumerate(z)])  # Eq. 3
        losses = batch.means(self.task.loss_among(outputs, batch.label, batch.among_whom))  # Equation 4
        return StepLosses(losses.sum(), self._named("trb", losses))

    def predict(self, z: Sequence[torch.Tensor], zeta: Sequence[torch.Tensor], batch: Batch) -> Predicted:
        """Embedding and predictions from encodings M x (B, d_i) and what the bottlenecks let through, M x (B, k).

        Where a modality is missing, nothing comes from it, not even the noise that its bottleneck would draw.
        """
        xi = self.attention(batch.fill_each(zeta), batch)  # Equation 7
        y = self.head(xi, batch)  # Equation 8
        into_branch = xi.detach() if self.options.routing == "routed" else xi  # choice C1
        return Predicted(xi, y, [self._branch(i, zi, into_branch, batch) for i, zi in enumerate(z)])  # Equation 9

    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """A step of Algorithm 2: Equation 10 (67 for more modalities) plus Equation 4 with xi in place of the noise."""
        if self.options.main_training == "without-omf":
            task = self.task_loss(self.head(torch.cat(batch.fill_each(z), dim=-1), batch), batch)
            return StepLosses(task, {"task": task.detach()})
        into_bottleneck = [zi.detach() for zi in z] if self.options.routing == "routed" else z
        posteriors = posteriors_of(self.bottlenecks, into_bottleneck, batch)  # Equation 5
        judged = [
            self._judge(self.predict(z, draw(posteriors, batch), batch), batch) for _ in range(self.options.samples)
        ]
        task, branches, divergences = (torch.stack(each).mean(dim=0) for each in zip(*judged, strict=True))  # E_epsilon
        kl = batch.means(torch.stack([kl_to_prior(each, self.options.kl_reduction) for each in posteriors]))
        r = self._weights(divergences, batch)  # Equations 11, 68
        omf = task / self.joint_information + self.beta * (r * kl).sum()  # Equations 10, 67
        terms = {"task": task.detach(), **self._named("kl", kl), **self._named("trb", branches)}
        weights = dict(list(self._named("r", batch.weigh(r)).items())[1:])
        return StepLosses(omf + self.options.branch_weight * branches.sum(), {**terms, **weights})

    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference with zeta = mu, or averaged over draws; the branches see xi, as in main training."""
        if self.options.main_training == "without-omf":  # its branches have seen noise: they get the noise's mean
            u = torch.cat(batch.fill_each(z), dim=-1)
            branches = [self._branch(i, zi, zi.new_zeros(len(zi), self.latent), batch) for i, zi in enumerate(z)]
            return Fused(u, self.head(u, batch), self.by_name(branches))
        posteriors = posteriors_of(self.bottlenecks, z, batch)
        draws = [[each.mean for each in posteriors]]
        if self.options.inference_samples:
            draws = [draw(posteriors, batch) for _ in range(self.options.inference_samples)]
        found = [self.predict(z, zeta, batch) for zeta in draws]
        y = self.task.average(torch.stack([each.y for each in found]))
        branches = [
            self.task.average(torch.stack(each)) for each in zip(*(each.branches for each in found), strict=True)
        ]
        xi = torch.stack([each.xi for each in found]).mean(dim=0)
        return Fused(xi, y, self.by_name(branches), self.by_name(posteriors))

    def outputs_of_draws(self, z: Sequence[torch.Tensor], batch: Batch, count: int) -> torch.Tensor | None:
        """Of zeta = mu + sigma * eps; none where the block is ablated, whose network has no bottleneck."""
        if self.options.main_training == "without-omf":
            return None
        posteriors = posteriors_of(self.bottlenecks, z, batch)
        found = []
        for noise in fixed_noise(count, posteriors):
            zeta = [each.mean + each.sd * own for each, own in zip(posteriors, noise, strict=True)]
            found.append(self.head(self.attention(batch.fill_each(zeta), batch), batch))
        return torch.stack(found)

    def _branch(self, i: int, zi: torch.Tensor, beside: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Dec_i([z_i, .]): a branch's prediction (B, C) from its encoding (B, d_i) and what stands beside it (B, k)."""
        output: torch.Tensor = self.branches[i](torch.cat([zi, beside], dim=-1), batch)
        return output

    def _noise(self, zi: torch.Tensor, batch: Batch) -> torch.Tensor:
        """e_i ~ N(0, I_k), fresh at every pass (choice C4): (B, k)."""
        return batch.randn(zi.new_empty(len(zi), self.latent))

    def _judge(self, predicted: Predicted, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Task loss (), branch losses (M,) and divergences KL(p(y_i) || p(y)) (M, B) of one draw of every zeta_i."""
        outputs = torch.stack([predicted.y, *predicted.branches])
        with torch.set_grad_enabled(self.options.r_gradient == "flow" and torch.is_grad_enabled()):
            divergences = self.task.divergence(outputs[1:], predicted.y)
        there = batch.among_whom
        if there is not None:  # the prediction from everything is judged among all
            there = torch.cat([torch.ones_like(there[:1]), there])
        losses = self.task.loss_among(outputs, batch.label, there)
        return batch.mean(losses[0]), batch.means(losses[1:]), divergences

    def _weights(self, divergences: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(M,) weights of the KL terms: 1 for the reference modality, r_i for the others (Equations 11, 68)."""
        one = torch.ones(1, device=divergences.device)
        if self.options.relative_weight == "one" or len(divergences) == 1:
            return one.expand(len(divergences))
        ratio = log_rho(divergences, batch, self.options.r_estimator)
        if self.options.r_momentum and self.training:
            ratio = torch.lerp(ratio, self.log_rho, self.options.r_momentum)
            self.log_rho = ratio.detach()
        return torch.cat([one, relative_weights(ratio)])

    def _named(self, term: str, values: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        return {f"{term}/{name}": value.detach() for name, value in zip(self.names, values, strict=True)}
