"""What every fusion method provides. Notation: B batch, M modalities, d width of encodings, k of the embedding.

A sample may lack modalities. What is missing has no loss of its own, and has no say in what is fused: it is 0 in a sum
or a concatenation, 1 in a product, and attention does not look at it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from omib_cli.distributed.processes import all_reduce_sum
from omib_cli.fusion.posterior import Posterior
from omib_cli.recipe.fusion import FusionOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.runtime.noise import current_part
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
    def losses(self, z: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None) -> StepLosses:
        """Losses of a main training step: encodings M x (B, d_i), labels (B,), presence (B, M) or None if all there."""

    @abstractmethod
    def fuse(self, z: Sequence[torch.Tensor], present: torch.Tensor | None) -> Fused:
        """Inference, without noise."""

    def warmup_losses(self, z: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None) -> StepLosses:
        """Losses of a warm-up step, arguments as for :meth:`losses`; of methods whose options say `has_warmup`."""
        raise NotImplementedError(f"{type(self).__name__} has no warm-up")

    def warmed_up(self) -> nn.Module:
        """The part that warm-up trains besides the encoders; its weights go into the warm-up checkpoint."""
        raise NotImplementedError(f"{type(self).__name__} has no warm-up")

    def branch_losses(
        self, outputs: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None
    ) -> list[torch.Tensor]:
        """The task's loss of each modality's own prediction (B, C), over the samples that have the modality."""
        return [mean_present(self.task.loss(out, label), column(present, i)) for i, out in enumerate(outputs)]

    def per_modality(self, name: str, weight: float | Sequence[float], values: Sequence[torch.Tensor]) -> list[Term]:
        """A term for each modality, called ``name/modality``; one weight for all, or one for each."""
        weights = [weight] * len(values) if isinstance(weight, int | float) else weight
        return [Term(f"{name}/{of}", w, value) for of, w, value in zip(self.names, weights, values, strict=True)]

    def by_name(self, values: Sequence[T]) -> dict[str, T]:
        """What there is of each modality, by its name."""
        return dict(zip(self.names, values, strict=True))


def mean_present(values: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    """Mean of (B,) values over the rows that are present (B,), 0 if none is; over all rows if ``present`` is None.

    Of a part of a batch, what makes the sum over parts, each times its weight, the mean over the whole batch.
    """
    if present is None:
        return values.mean()
    weight, part = present.to(values.dtype), current_part()
    count = weight.sum()
    if part is None or not part.among_processes:
        return (values * weight).sum() / count.clamp_min(1.0)
    everywhere = all_reduce_sum(count * float(part.weight > 0)).clamp_min(1.0)
    return (values * weight).sum() / (everywhere * (part.weight or 1.0))


def means_present(values: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    """:func:`mean_present` of the values (M, B) of each modality, presence being (B, M): (M,)."""
    if present is None:
        return values.mean(dim=-1)
    return torch.stack([mean_present(value, column(present, i)) for i, value in enumerate(values)])


def means_of_whole(
    values: Sequence[torch.Tensor], present: Sequence[torch.Tensor | None]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of K x (B,) values over the rows that are present in each, and how many those are: (K,) and (K,).

    Where the batch is divided among processes, over all of it; no gradient reaches the rows of others.
    """
    part = current_part()
    if part is None and all(there is None for there in present):
        whole = torch.stack(list(values)).mean(dim=-1)
        return whole, torch.full_like(whole, len(values[0]))
    if part is None or not part.among_processes:
        means = [mean_present(value, there) for value, there in zip(values, present, strict=True)]
        counts = [len(value) if there is None else there.sum() for value, there in zip(values, present, strict=True)]
        return torch.stack(means), torch.stack([torch.as_tensor(count, device=values[0].device) for count in counts])
    masks = [
        torch.ones_like(value) if there is None else there.to(value.dtype)
        for value, there in zip(values, present, strict=True)
    ]
    sums = torch.stack([(value * mask).sum() for value, mask in zip(values, masks, strict=True)])
    both = torch.stack([sums.detach(), torch.stack([mask.sum() for mask in masks])]) * float(part.weight > 0)
    total, count = all_reduce_sum(both)
    return total / count.clamp_min(1.0), count


def column(present: torch.Tensor | None, modality: int) -> torch.Tensor | None:
    """Presence (B,) of one modality, or None if every modality is there."""
    return None if present is None else present[:, modality]


def both(first: torch.Tensor | None, second: torch.Tensor | None) -> torch.Tensor | None:
    """Presence (B,) of both of two, or None if they are always there."""
    return second if first is None else first if second is None else first & second


def where_present(values: torch.Tensor, present: torch.Tensor | None, otherwise: float = 0.0) -> torch.Tensor:
    """(B, ...) values, replaced by a constant in the rows that are not present (B,)."""
    if present is None:
        return values
    return torch.where(present.reshape(-1, *[1] * (values.dim() - 1)), values, otherwise)


def each_where_present(
    values: Sequence[torch.Tensor], present: torch.Tensor | None, otherwise: float = 0.0
) -> list[torch.Tensor]:
    """:func:`where_present` of M values, presence being (B, M)."""
    return [where_present(value, column(present, i), otherwise) for i, value in enumerate(values)]
