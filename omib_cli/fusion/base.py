"""What every fusion method provides. Notation: B batch, M modalities, d width of encodings, k of the embedding.

A sample may lack modalities. What is missing has no loss of its own, and has no say in what is fused: it is 0 in a sum
or a concatenation, 1 in a product, and attention does not look at it. One convention for all methods: the loss of a
prediction from everything is a mean over all samples; what is one modality's (a branch's loss, a KL divergence) is a
mean over the samples that have it, what is of two (an alignment) over those that have both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from omib_cli.fusion.posterior import Posterior
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import FusionOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task

T = TypeVar("T")


@dataclass
class StepLosses:
    """A training step's total loss (scalar, with gradient) and its terms to log (scalars, without)."""

    total: torch.Tensor
    terms: dict[str, torch.Tensor] = field(default_factory=dict)


class Term(NamedTuple):
    """A term of a loss: its name in the log, its weight, its value (scalar)."""

    name: str
    weight: float
    value: torch.Tensor


def weighted(terms: Sequence[Term]) -> StepLosses:
    """The weighted sum of terms; the log gets the values without their weights."""
    total = torch.stack([term.weight * term.value for term in terms]).sum()
    return StepLosses(total, {term.name: term.value.detach() for term in terms})


@dataclass
class Fused:
    """What inference yields for a batch.

    Attributes
    ----------
    embedding
        (B, k), what the head reads.
    output
        (B, C), of the head on the embedding.
    branch_outputs
        By modality, (B, C), of its own branch; meaningless where the modality is missing.
    posteriors
        By modality, what its bottleneck makes of it; absent for methods without one.
    """

    embedding: torch.Tensor
    output: torch.Tensor
    branch_outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    posteriors: dict[str, Posterior] = field(default_factory=dict)


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

    def __init__(self, options: FusionOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__()
        self.names = list(widths)
        self.task = task

    @abstractmethod
    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """Losses of a main training step, from the encodings M x (B, d_i); of a part of a batch, its share of them."""

    @abstractmethod
    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference, without noise; the batch's labels are not looked at."""

    def outputs_of_draws(self, z: Sequence[torch.Tensor], batch: Batch, count: int) -> torch.Tensor | None:
        """Fused outputs (S, B, C) of draws of what the bottlenecks let through, the same noise for every sample.

        None of methods that have nothing to draw, or do not tell their predictions' draws apart.
        """
        return None

    def warmup_losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """Losses of a warm-up step, arguments as for :meth:`losses`; of methods whose options say `has_warmup`."""
        raise NotImplementedError(f"{type(self).__name__} has no warm-up")

    def warmed_up(self) -> nn.Module:
        """The part that warm-up trains besides the encoders; its weights go into the warm-up checkpoint."""
        raise NotImplementedError(f"{type(self).__name__} has no warm-up")

    def task_loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The task's loss of a prediction (B, C) from all modalities, over all samples: ()."""
        return batch.mean(self.task.loss_among(output, batch.label, None))

    def branch_losses(self, outputs: Sequence[torch.Tensor], batch: Batch) -> list[torch.Tensor]:
        """The task's loss of each modality's own prediction (B, C), over the samples that have the modality."""
        there = batch.among_whom
        return [
            batch.mean(self.task.loss_among(out, batch.label, None if there is None else there[i]), i)
            for i, out in enumerate(outputs)
        ]

    def per_modality(self, name: str, weight: float | Sequence[float], values: Sequence[torch.Tensor]) -> list[Term]:
        """A term for each modality, called ``name/modality``; one weight for all, or one for each."""
        weights = [weight] * len(values) if isinstance(weight, int | float) else weight
        return [Term(f"{name}/{of}", w, value) for of, w, value in zip(self.names, weights, values, strict=True)]

    def by_name(self, values: Sequence[T]) -> dict[str, T]:
        """What there is of each modality, by its name."""
        return dict(zip(self.names, values, strict=True))
