"""Convolution along a sequence and the mean over its real elements (Appendix H: audio and visual of CMU-MOSI)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from omib_cli.encoders.base import Encoder
from omib_cli.encoders.pooling import masked_mean
from omib_cli.nn.batch import Batch
from omib_cli.nn.layers import Dropout
from omib_cli.recipe.encoders import Conv1dOptions


class Conv1dEncoder(Encoder):
    """(B, T, D + 1), the last column the mask, to (B, d): convolutions with ReLU, then a mean that leaves padding out.

    Padding is zero before every layer, so that an encoding does not depend on how far a sequence was padded. One layer
    has D x d x kernel + d parameters, each further one d x d x kernel + d.
    """

    kinds = ("sequence",)

    def __init__(
        self,
        options: Conv1dOptions,
        shape: tuple[int, ...],
        config: Mapping[str, Any] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(options, shape, config, bias)
        widths = [shape[1] - 1] + [options.width] * options.layers
        last = options.layers - 1
        self.layers = nn.ModuleList(
            nn.Conv1d(widths[i], widths[i + 1], options.kernel, padding="same", bias=bias or i < last)
            for i in range(options.layers)
        )
        self.dropout = Dropout(options.dropout)

    def forward(self, x: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, T, D + 1) to (B, d)."""
        mask = x[..., -1]
        hidden = x[..., :-1].transpose(1, 2)  # (B, D, T)
        for layer in self.layers:
            hidden = self.dropout(torch.relu(layer(hidden)), batch) * mask.unsqueeze(1)
        return masked_mean(hidden.transpose(1, 2), mask)
