"""The multilayer perceptron for vectors (Appendix H: two layers, GELU, 256 wide)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from omib_cli.encoders.base import Encoder
from omib_cli.nn.batch import Batch
from omib_cli.nn.layers import ACTIVATIONS, Dropout, Layers
from omib_cli.recipe.encoders import MlpOptions


class MlpEncoder(Encoder):
    """(B, D) to (B, d) through any number of hidden layers; none makes it linear."""

    kinds = ("vector",)

    def __init__(
        self,
        options: MlpOptions,
        shape: tuple[int, ...],
        config: Mapping[str, Any] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(options, shape, config, bias)
        layers: list[nn.Module] = [Dropout(options.input_dropout)] if options.input_dropout else []
        width = shape[0]
        for hidden in options.hidden:
            layers.append(nn.Linear(width, hidden))
            if options.norm == "layer":
                layers.append(nn.LayerNorm(hidden, elementwise_affine=bias))
            layers.append(ACTIVATIONS[options.activation]())
            layers += [Dropout(options.dropout)] if options.dropout else []
            width = hidden
        layers.append(nn.Linear(width, options.width, bias=bias))
        if options.output_activation:
            layers.append(ACTIVATIONS[options.activation]())
        layers += [Dropout(options.dropout)] if options.dropout else []
        self.layers = Layers(*layers)

    def forward(self, x: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, D) to (B, d)."""
        encoding: torch.Tensor = self.layers(x, batch)
        return encoding
