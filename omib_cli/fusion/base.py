"""What every fusion method provides. Notation: B batch, M modalities, d width of encodings, k of the embedding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from omib_cli.recipe.model import FusionOptions, HeadOptions
from omib_cli.tasks.base import Task


@dataclass
class StepLosses:
    """A training step's total loss (scalar, with gradient) and its terms to log (scalars, without)."""

    total: torch.Tensor
    terms: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass
class Fused:
    """What inference yields for a batch.

    Attributes
    ----------
    embedding
        (B, k).
    output
        (B, C), of the head on the embedding.
    branch_outputs
        By modality, (B, C), of its own branch; meaningless where the modality is missing.
    posterior_sd
        By modality, (B, k), standard deviation of its bottleneck; absent for methods without one.
    """

    embedding: torch.Tensor
    output: torch.Tensor
    branch_outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    posterior_sd: dict[str, torch.Tensor] = field(default_factory=dict)


class FusionMethod(nn.Module, ABC):
    """A fusion method.

    Parameters
    ----------
    options
        Of the method, from the recipe.
    widths
        Width d_i of each modality's encoding, by name, in the recipe's order.
    task
        Gives loss, divergence and number of outputs.
    head
        The shape of every prediction head.
    """

    uses_beta = False
    """Whether the loss has a redundancy weight, for which bounds must be estimated."""

    def __init__(self, options: FusionOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__()
        self.names = list(widths)
        self.task = task

    @abstractmethod
    def warmup_losses(self, z: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None) -> StepLosses:
        """Losses of a warm-up step: encodings M x (B, d_i), labels (B,), presence (B, M) or None if all are there."""

    @abstractmethod
    def losses(self, z: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None) -> StepLosses:
        """Losses of a main training step, arguments as for :meth:`warmup_losses`."""

    @abstractmethod
    def fuse(self, z: Sequence[torch.Tensor], present: torch.Tensor | None) -> Fused:
        """Inference, without noise."""

    @abstractmethod
    def warmed_up(self) -> nn.Module:
        """The part that warm-up trains besides the encoders; its weights go into the warm-up checkpoint."""


def mean_present(values: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    """Mean of (B,) values over the rows that are present (B,), 0 if none is; over all rows if ``present`` is None."""
    if present is None:
        return values.mean()
    weight = present.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp_min(1.0)


def column(present: torch.Tensor | None, modality: int) -> torch.Tensor | None:
    """Presence (B,) of one modality, or None if every modality is there."""
    return None if present is None else present[:, modality]
