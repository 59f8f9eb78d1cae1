"""What every encoder provides."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from omib_cli.recipe.model import EncoderOptions

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "leaky-relu": nn.LeakyReLU}


class Encoder(nn.Module, ABC):
    """Enc_i of Equation 3: one modality to its encoding; made from its options and the shape of one sample."""

    kinds: tuple[str, ...]
    """Kinds of modality (``artifacts.format``) that the encoder reads."""

    def __init__(self, options: EncoderOptions, shape: tuple[int, ...]) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, *shape) to (B, d)."""
