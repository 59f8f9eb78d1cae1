"""OMIB: the optimal multimodal information bottleneck (Equations 4-11 and 67-68), for any number of modalities.

Warm-up (Algorithm 1): each branch predicts from its encoding and noise, [z_i, e_i].
Main training (Algorithm 2): bottlenecks, cross-attention network and head make the embedding xi; it replaces the
noise in the branches; the loss is

    L = T(xi) + beta (KL_1 + sum_i r_i KL_i) + sum_i T(branch_i)        (Equation 10, plus the branches' Equation 4)

with T the task's loss, KL_i the divergence of bottleneck i from N(0, I), r_i the relative weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from omib_cli.fusion.attention import CrossAttention
from omib_cli.fusion.base import Fused, FusionMethod, StepLosses, column, each_where_present, means_present
from omib_cli.fusion.bottleneck import Bottleneck
from omib_cli.fusion.posterior import Posterior, kl_to_prior
from omib_cli.fusion.relative_weight import log_rho, relative_weights
from omib_cli.recipe.fusion import OmibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.runtime.noise import randn_like
from omib_cli.tasks.base import Task


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
        self.branches = nn.ModuleList(task.make_head(d + k, head) for d in widths.values())
        if options.main_training == "without-omf":
            self.head = task.make_head(sum(widths.values()), head)
        else:
            self.bottlenecks = nn.ModuleList(Bottleneck(d, k, options.posterior) for d in widths.values())
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

    def warmup_losses(self, z: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None) -> StepLosses:
        """Equation 4: each branch on its encoding and fresh noise e_i ~ N(0, I_k)."""
        outputs = torch.stack([self._branch(i, z, randn_like) for i in range(len(z))])
        losses = means_present(self.task.loss(outputs, label), present)
        return StepLosses(losses.sum(), self._named("trb", losses))

    def losses(self, z: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None) -> StepLosses:
        """Equation 10 (67 for more modalities) plus Equation 4 with xi in place of the noise (Algorithm 2)."""
        if self.options.main_training == "without-omf":
            task = self.task.loss(self.head(torch.cat(each_where_present(z, present), dim=-1)), label).mean()
            return StepLosses(task, {"task": task.detach()})
        into_bottleneck = [zi.detach() for zi in z] if self.options.routing == "routed" else z
        posteriors = [
            bottleneck(zi, column(present, i))
            for i, (bottleneck, zi) in enumerate(zip(self.bottlenecks, into_bottleneck, strict=True))
        ]
        samples = [self._sample(z, posteriors, label, present) for _ in range(self.options.samples)]  # E over epsilon
        task, branch_loss, divergences = (torch.stack(values).mean(dim=0) for values in zip(*samples, strict=True))
        kl = torch.stack([kl_to_prior(posterior, self.options.kl_reduction) for posterior in posteriors]).mean(dim=-1)
        weights = self._weights(divergences, present)
        total = task / self.joint_information + self.beta * (weights * kl).sum() + branch_loss.sum()
        terms = {"task": task.detach(), **self._named("kl", kl), **self._named("trb", branch_loss)}
        return StepLosses(total, {**terms, **dict(list(self._named("r", weights).items())[1:])})

    def fuse(self, z: Sequence[torch.Tensor], present: torch.Tensor | None) -> Fused:
        """Inference with zeta = mu, or averaged over draws; the branches see xi, as in main training."""
        if self.options.main_training == "without-omf":  # its branches have seen noise: they get the noise's mean
            u = torch.cat(each_where_present(z, present), dim=-1)
            branches = [self._branch(i, z, torch.zeros_like) for i in range(len(z))]
            return Fused(u, self.head(u), dict(zip(self.names, branches, strict=True)))
        posteriors = [self.bottlenecks[i](zi, column(present, i)) for i, zi in enumerate(z)]
        draws = [[posterior.mean for posterior in posteriors]]
        if self.options.inference_samples:
            draws = [[posterior.sample() for posterior in posteriors] for _ in range(self.options.inference_samples)]
        xis = [self.attention(zeta, present) for zeta in draws]
        outputs = [
            [self.head(xi), *(self.branches[i](torch.cat([zi, xi], dim=-1)) for i, zi in enumerate(z))] for xi in xis
        ]
        output, *branches = (self.task.average(torch.stack(each)) for each in zip(*outputs, strict=True))
        return Fused(
            torch.stack(xis).mean(dim=0),
            output,
            dict(zip(self.names, branches, strict=True)),
            self.by_name(posteriors),
        )

    def _sample(
        self,
        z: Sequence[torch.Tensor],
        posteriors: Sequence[Posterior],
        label: torch.Tensor,
        present: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Task loss (), branch losses (M,), divergences (M, B) for one draw of every zeta_i."""
        xi = self.attention([posterior.sample() for posterior in posteriors], present)
        output = self.head(xi)
        into_branch = xi.detach() if self.options.routing == "routed" else xi
        branches = [self.branches[i](torch.cat([zi, into_branch], dim=-1)) for i, zi in enumerate(z)]
        outputs = torch.stack([output, *branches])
        with torch.set_grad_enabled(self.options.r_gradient == "flow" and torch.is_grad_enabled()):
            divergences = self.task.divergence(outputs[1:], output)
        losses = self.task.loss(outputs, label)
        return losses[0].mean(), means_present(losses[1:], present), divergences

    def _branch(self, i: int, z: Sequence[torch.Tensor], noise: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        companion = noise(z[i].new_empty(len(z[i]), self.latent))
        output: torch.Tensor = self.branches[i](torch.cat([z[i], companion], dim=-1))
        return output

    def _weights(self, divergences: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
        """(M,) weights of the KL terms: 1 for the reference modality, r_i for the others (Equations 11, 68)."""
        one = torch.ones(1, device=divergences.device)
        if self.options.relative_weight == "one" or len(divergences) == 1:
            return one.expand(len(divergences))
        ratio = log_rho(divergences, present, self.options.r_estimator)
        if self.options.r_momentum and self.training:
            ratio = torch.lerp(ratio, self.log_rho, self.options.r_momentum)
            self.log_rho = ratio.detach()
        return torch.cat([one, relative_weights(ratio)])

    def _named(self, term: str, values: torch.Tensor | Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        return {f"{term}/{name}": value.detach() for name, value in zip(self.names, values, strict=True)}
