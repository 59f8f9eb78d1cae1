"""Layers that are told which batch they work on, and the names of activations."""

from __future__ import annotations

import torch
from torch import nn

from omib_cli.nn.batch import Batch

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "leaky-relu": nn.LeakyReLU}
"""By the name that recipes use."""


class Dropout(nn.Module):
    """Dropout that gives a sample the same mask whichever part of the batch it is in; nothing outside training."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, ...) to (B, ...); B may be a multiple of the batch's samples, each with consecutive rows."""
        return batch.dropout(values, self.p) if self.training and self.p > 0.0 else values


class Layers(nn.Sequential):
    """Layers one after the other, as torch's, of which :class:`Dropout` is told the batch."""

    def forward(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:  # type: ignore[override]
        """(B, ...) to (B, ...)."""
        for layer in self:
            values = layer(values, batch) if isinstance(layer, Dropout) else layer(values)
        return values
