"""Prediction heads: Dec_i on [z_i, noise or embedding], and the head of the fusion block on the embedding."""

from __future__ import annotations

import torch
from torch import nn

from omib_cli.recipe.heads import HeadOptions
from omib_cli.runtime.noise import Dropout

_ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "leaky-relu": nn.LeakyReLU}


def prediction_head(width: int, outputs: int, options: HeadOptions, bias: bool = True) -> nn.Sequential:
    """A head (B, width) to (B, outputs): one hidden layer, or linear (Appendix H; no softmax inside)."""
    if options.hidden == 0:
        return nn.Sequential(Dropout(options.dropout), nn.Linear(width, outputs, bias=bias))
    return nn.Sequential(
        nn.Linear(width, options.hidden, bias=bias),
        _ACTIVATIONS[options.activation](),
        Dropout(options.dropout),
        nn.Linear(options.hidden, outputs, bias=bias),
    )


class CentredHead(nn.Module):
    """A head without biases whose output is relative to its own centre (Equation 104; choices F1, F2).

    The centre is a buffer: fixed while weights are trained, kept in checkpoints. :meth:`collect` and :meth:`settle`
    set it to the mean of the outputs in between.
    """

    centre: torch.Tensor

    def __init__(self, width: int, outputs: int, options: HeadOptions) -> None:
        super().__init__()
        self.layers = prediction_head(width, outputs, options, bias=False)
        self.register_buffer("centre", torch.zeros(outputs))
        self._sum: torch.Tensor | None = None
        self._count = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, width) to (B, outputs), the output less the centre."""
        output: torch.Tensor = self.layers(x)
        if self._sum is not None:
            self._sum += output.detach().double().sum(dim=0)
            self._count += len(output)
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
