"""Methods that only join encodings into one vector: the loss is the task's, and there is nothing else to it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.base import Fused, FusionMethod, StepLosses, Term, weighted
from omib_cli.nn.batch import Batch


class Joined(FusionMethod):
    """u = :meth:`join` (z_1..z_M), prediction = :attr:`head` (u)."""

    head: nn.Module

    @abstractmethod
    def join(self, z: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        """Encodings M x (B, d_i) to u (B, D)."""

    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """The task's loss."""
        return weighted([Term("task", 1.0, self.task_loss(self.head(self.join(z, batch), batch), batch))])

    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference."""
        u = self.join(z, batch)
        return Fused(u, self.head(u, batch))


class ConcatLayer(nn.Module):
    """ReLU(W [x_1; ..; x_M] + b): M x (B, d_i) to (B, D), the layer in which several methods join their codes."""

    def __init__(self, width: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs, bias=bias)

    def forward(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """The joined vector."""
        return torch.relu(self.linear(torch.cat(list(values), dim=-1)))
