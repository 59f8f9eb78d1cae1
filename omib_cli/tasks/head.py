"""Prediction heads: Dec_i on [z_i, noise or embedding], and the head of the fusion block on the embedding."""

from __future__ import annotations

import torch
from torch import nn

from omib_cli.nn.batch import Batch
from omib_cli.nn.layers import ACTIVATIONS, Dropout, Layers
from omib_cli.recipe.heads import HeadOptions


def prediction_head(width: int, outputs: int, options: HeadOptions, bias: bool = True) -> Layers:
    """A head (B, width) to (B, outputs): one hidden layer, or linear (Appendix H; no softmax inside)."""
    if options.hidden == 0:
        return Layers(Dropout(options.dropout), nn.Linear(width, outputs, bias=bias))
    return Layers(
        nn.Linear(width, options.hidden, bias=bias),
        ACTIVATIONS[options.activation](),
        Dropout(options.dropout),
        nn.Linear(options.hidden, outputs, bias=bias),
    )


class CentredHead(nn.Module):
    """A head without biases whose output is relative to its own centre (Equation 104; choices F1, F2).

    The centre is a buffer: fixed while weights are trained, kept in checkpoints. :meth:`collect` and :meth:`settle`
    set it to the mean of the outputs in between.

    Parameters
    ----------
    modality
        The one that the head predicts from: samples without it have no say in the centre. None for a head that
        predicts from all.
    """

    centre: torch.Tensor

    def __init__(self, width: int, outputs: int, options: HeadOptions, modality: int | None = None) -> None:
        super().__init__()
        self.modality = modality
        self.layers = prediction_head(width, outputs, options, bias=False)
        self.register_buffer("centre", torch.zeros(outputs))
        self._sum: torch.Tensor | None = None
        self._count = 0

    def forward(self, x: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, width) to (B, outputs), the output less the centre."""
        output: torch.Tensor = self.layers(x, batch)
        if self._sum is not None:
            seen = output.detach() if self.modality is None else output.detach()[batch.has(self.modality)]
            self._sum += seen.double().sum(dim=0)
            self._count += len(seen)
        return output - self.centre

    def collect(self) -> None:
        """Begin to add up outputs."""
        self._sum, self._count = torch.zeros_like(self.centre, dtype=torch.float64), 0

    def settle(self, epsilon: float) -> None:
        """Take the mean of the outputs since :meth:`collect` as centre, no coordinate nearer to 0 than ``epsilon``.

        A head that has seen nothing keeps its centre. Coordinates near 0 are moved to +-epsilon, sign kept: what a
        network without biases can answer to everything is 0, and that must not be the centre (Ruff et al. 2018).
        """
        if self._sum is not None and self._count:
            mean = (self._sum / self._count).to(self.centre.dtype)
            near = mean.abs() < epsilon
            self.centre.copy_(torch.where(near, torch.where(mean < 0, -epsilon, epsilon), mean))
        self._sum = None
