"""DMIB: dynamic multimodal information bottleneck (Fang et al. 2024), the variant that its authors use for diagnosis.

    v = [z_1; ..; z_M],  o = head_o(v),  u = W_2 ReLU(W_1 v),  r = head(u),  a_i = head_i(z_i)
    L = T(r) + w_o T(o) + w_s KL(p_o || p_r) + w_m sum_i T(a_i)

u is deterministic: what makes it a bottleneck is its narrow hidden layer; the KL, in which p_o is a constant, that it
keeps what v knows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.base import Fused, FusionMethod, StepLosses, Term, weighted
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import DmibOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class Dmib(FusionMethod):
    """Per-modality heads, a head on the concatenation, the bottleneck and its head.

    Adapted: KL(p_o || p_r) itself, where the published code passes probabilities for logarithms and the distribution
    that learns for the target, which can fall below 0, with a weight of 500; the task's divergence where predictions
    are no classes; the encoders in place of the source's first layer; heads are the recipe's (the source's are linear).
    With gates, the title's "dynamic", which the variant leaves out: features times sigmoid(linear), encodings times a
    confidence that learns exp(-T(a_i)), the probability of the true class. Their loss is the mean of the gates plus
    the confidence's squared error.
    """

    def __init__(self, options: DmibOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.options = options
        total, bias = sum(widths.values()), task.bias
        hidden = max(1, 2 * total // 3)
        if options.gates:
            self.gates = nn.ModuleList(nn.Linear(d, d, bias=bias) for d in widths.values())
            self.confidences = nn.ModuleList(nn.Linear(d, 1, bias=bias) for d in widths.values())
        self.branches = nn.ModuleList(task.make_head(d, head, i) for i, d in enumerate(widths.values()))
        self.observation = task.make_head(total, head)
        self.bottleneck = nn.Sequential(
            nn.Linear(total, hidden, bias=bias), nn.ReLU(), nn.Linear(hidden, total, bias=bias)
        )
        self.head = task.make_head(total, head)

    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """All four kinds of loss, and those of the gates."""
        features, gates = self._gated(z)
        confidences = self._confidences(features)
        v = self._observed(features, confidences, batch)
        seen, said = self.observation(v, batch), self.head(self.bottleneck(v), batch)
        branches = [branch(feature, batch) for branch, feature in zip(self.branches, features, strict=True)]
        terms = [
            Term("task", 1.0, self.task_loss(said, batch)),
            Term("observation", self.options.observation, self.task_loss(seen, batch)),
            Term("sufficiency", self.options.sufficiency, batch.mean(self.task.divergence(seen.detach(), said))),
            *self.per_modality("trb", self.options.modality, self.branch_losses(branches, batch)),
        ]
        for i, gate in enumerate(gates):
            name = self.names[i]
            there = None if batch.among_whom is None else batch.among_whom[i]
            truth = self.task.likelihood(branches[i], batch.label, there).detach()
            error = (confidences[i].squeeze(-1).float() - truth).square()
            terms.append(Term(f"gate/{name}", 1.0, batch.mean(gate.float().mean(dim=-1), i)))
            terms.append(Term(f"confidence/{name}", 1.0, batch.mean(error, i)))
        return weighted(terms)

    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference."""
        features, _ = self._gated(z)
        u = self.bottleneck(self._observed(features, self._confidences(features), batch))
        branches = [branch(feature, batch) for branch, feature in zip(self.branches, features, strict=True)]
        return Fused(u, self.head(u, batch), self.by_name(branches))

    def _gated(self, z: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Features and gates, each M x (B, d_i); the encodings themselves and no gates where there are none."""
        if not self.options.gates:
            return list(z), []
        gates = [torch.sigmoid(gate(zi)) for gate, zi in zip(self.gates, z, strict=True)]
        return [gate * zi for gate, zi in zip(gates, z, strict=True)], gates

    def _confidences(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """M x (B, 1); empty without gates."""
        if not self.options.gates:
            return []
        return [confidence(feature) for confidence, feature in zip(self.confidences, features, strict=True)]

    def _observed(
        self, features: Sequence[torch.Tensor], confidences: Sequence[torch.Tensor], batch: Batch
    ) -> torch.Tensor:
        """v (B, d_1 + .. + d_M), each modality's features by its confidence if there is one."""
        sure = [c * feature for c, feature in zip(confidences, features, strict=True)] if confidences else features
        return torch.cat(batch.fill_each(sure), dim=-1)
