"""What every encoder provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from omib_cli.nn.batch import Batch
from omib_cli.recipe.encoders import EncoderOptions


class Encoder(nn.Module, ABC):
    """Enc_i of Equation 2: one modality to its encoding.

    Parameters
    ----------
    options
        From the recipe.
    shape
        Of one sample.
    config
        What the dataset knows of the modality and the encoder must know: the configuration of a text model.
    bias
        Whether the last linear layer has a bias; one-class training needs encoders that cannot be constant.
    """

    kinds: tuple[str, ...]
    """Kinds of modality (``artifacts.format``) that the encoder reads."""

    def __init__(
        self,
        options: EncoderOptions,
        shape: tuple[int, ...],
        config: Mapping[str, Any] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.lr = options.lr

    def load_pretrained(self) -> str | None:
        """Load the pretrained weights that the options name, if they name any; called once on a fresh model.

        Returns, in words, what of the weights was not used or could not be checked; None where all is well.

        Raises
        ------
        DataError
            The folder is missing or holds another network.
        """

    def own_rate(self) -> Iterator[nn.Parameter]:
        """The parameters that the options' own learning rate is for: all, unless some are pretrained."""
        return self.parameters()

    @abstractmethod
    def forward(self, x: Any, batch: Batch) -> torch.Tensor:
        """(B, *shape), or a Neighbourhood of B nodes, and the batch that they are, to (B, d)."""
