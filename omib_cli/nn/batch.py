"""The samples of a step: their labels, who lacks what, which rows of the whole batch they are.

A batch may be divided among processes, or into micro-batches that come in turn. Two rules make the division invisible:

* A mean over samples divides the own rows' sum by the count in the *whole* batch, so that what the parts yield adds up
  to what the whole would. Nobody weighs parts afterwards.
* Random numbers are drawn for all rows of the whole batch and cut to the own ones, so that a sample gets the same
  numbers whichever part it is in. A whole batch draws what torch would draw.

What compares samples with each other (moments, pairs that do not belong together, r in turn) cannot be a sum over
samples; it is computed from the own rows alone, and weighs as much as they are of the whole: :meth:`Batch.weigh`.

Notation: B own rows, M modalities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F  # noqa: N812 (torch's own convention)


@dataclass(frozen=True)
class Batch:
    """A batch, or a part of one.

    Attributes
    ----------
    label
        (B,) float32: class indices or values; NaN where unknown.
    present
        (B, M) bool: which modalities each sample has.
    complete
        Whether nothing is missing in the data that the batch is from; masks are then not worth their time.
    counts
        (M, M) float32: samples of the whole batch that have both i and j (diagonal: i). Infinite for a stand-in.
    size
        () float32: samples of the whole batch. Infinite for a stand-in.
    start, total
        These are the rows from ``start`` on of the ``total`` of the whole batch: random numbers are drawn for all of
        it and cut to them. (Two numbers and no range, which torch's compiler would compile anew for every part.)
    is_whole
        Whether no row is elsewhere.
    at_once
        Whether the other parts are at work in other processes at this moment, so that sums over all can be had.
    """

    label: torch.Tensor
    present: torch.Tensor
    complete: bool
    counts: torch.Tensor
    size: torch.Tensor
    start: int
    total: int
    is_whole: bool = True
    at_once: bool = False

    @classmethod
    def of(cls, label: torch.Tensor, present: torch.Tensor, complete: bool | None = None) -> Batch:
        """A whole batch of labels (B,) and presence (B, M)."""
        complete = bool(present.all()) if complete is None else complete
        size = label.new_full((), len(label), dtype=torch.float32)
        counts = size.expand(present.shape[1], present.shape[1]) if complete else common_counts(present)
        return cls(label, present, complete, counts, size, 0, len(label))

    def among(self, counts: torch.Tensor, size: int) -> Batch:
        """The same samples among ``size`` ones, whose counts (M, M) their means divide by; they draw by themselves."""
        return replace(self, counts=counts.to(self.size), size=torch.full_like(self.size, size))

    def part(self, rows: range, counts: torch.Tensor, size: int, *, at_once: bool = False) -> Batch:
        """These samples as ``rows`` of a batch of ``size``, with counts (M, M)."""
        return replace(
            self.among(counts, size), start=rows.start, total=size, is_whole=len(rows) == size, at_once=at_once
        )

    def stand_in(self) -> Batch:
        """The same, taking part without counting: every mean is 0, and so is its gradient."""
        counts, size = torch.full_like(self.counts, math.inf), torch.full_like(self.size, math.inf)
        return replace(self, counts=counts, size=size, is_whole=False)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def rows(self) -> range:
        """Which rows of the whole batch these are."""
        return range(self.start, self.start + len(self))

    def has(self, i: int, j: int | None = None) -> torch.Tensor:
        """Which samples (B,) have modality i, or both i and j."""
        return self.present[:, i] if j is None else self.present[:, i] & self.present[:, j]

    @property
    def among_whom(self) -> torch.Tensor | None:
        """For each modality, which samples have it: (M, B) bool; None where all have all."""
        return None if self.complete else self.present.T

    def mean(self, values: torch.Tensor, i: int | None = None, j: int | None = None) -> torch.Tensor:
        """(B,) to (): these rows' share of the mean over all samples of the whole batch, or all that have i (and j).

        0 if none has.
        """
        if i is None:
            return values.sum() / self.size
        count = self.counts[i, i if j is None else j].clamp_min(1.0)
        return (values if self.complete else values * self.has(i, j)).sum() / count

    def means(self, values: torch.Tensor) -> torch.Tensor:
        """:meth:`mean` of one row of values for each modality, over the samples that have it: (M, B) to (M,)."""
        there = values if self.complete else values * self.present.T
        return there.sum(dim=-1) / self.counts.diagonal().clamp_min(1.0)

    def weigh(self, value: torch.Tensor) -> torch.Tensor:
        """A value of these rows as a whole (a moment, r): its share of the batch, so that parts add up to a mean."""
        return value if self.is_whole else value * (len(self) / self.size)

    def mean_within(self, values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Mean of (B,) values over the own rows (B,) where ``rows`` is set, 0 if none is, weighed: ()."""
        return self.weigh((values * rows).sum() / rows.sum().clamp_min(1))

    def fill(self, values: torch.Tensor, i: int, otherwise: float = 0.0) -> torch.Tensor:
        """(B, ...) values of modality i, replaced by a constant in the samples that lack it."""
        if self.complete:
            return values
        return torch.where(self.has(i).reshape(-1, *[1] * (values.dim() - 1)), values, otherwise)

    def fill_each(self, values: Sequence[torch.Tensor], otherwise: float = 0.0) -> list[torch.Tensor]:
        """:meth:`fill` of one tensor for each modality, in their order."""
        return [self.fill(value, i, otherwise) for i, value in enumerate(values)]

    def keys(self, modalities: Sequence[int]) -> torch.Tensor | None:
        """Which of a sample's tokens, one of each of these modalities, are attended to: (B, T) bool, or None for all.

        A sample without any of them has them all, for a softmax over nothing is not a number.
        """
        if self.complete:
            return None
        there = self.present[:, list(modalities)]
        return there | ~there.any(dim=1, keepdim=True)

    def draw(self, draw: Callable[[list[int]], torch.Tensor], shape: Sequence[int], dim: int = 0) -> torch.Tensor:
        """Random numbers of a shape whose dimension ``dim`` goes through the samples, equally many entries for each.

        Parameters
        ----------
        draw
            A shape to random numbers of it; called with the shape that the whole batch would have.
        """
        if self.is_whole:
            return draw(list(shape))
        each = shape[dim] // len(self)
        whole = draw([*shape[:dim], each * self.total, *shape[dim + 1 :]])
        return whole.narrow(dim, each * self.start, shape[dim])

    def randn(self, like: torch.Tensor) -> torch.Tensor:
        """Standard normal numbers of the shape (B, ...) of ``like``."""
        return self.draw(lambda shape: torch.randn(shape, dtype=like.dtype, device=like.device), like.shape)

    def dropout(self, values: torch.Tensor, p: float, dim: int = 0) -> torch.Tensor:
        """Dropout of values whose dimension ``dim`` goes through the samples, as in :meth:`draw`."""
        if self.is_whole:
            return F.dropout(values, p)
        return values * self.draw(lambda shape: F.dropout(values.new_ones(shape), p), values.shape, dim)

    def dropout_elsewhere(self, values: torch.Tensor, p: float) -> torch.Tensor:
        """Dropout of values whose rows are no samples, such as the nodes around them: a mask of each part's own.

        Which nodes a part has depends on the division, so that no mask could be cut out of a larger one.
        """
        if self.is_whole:
            return F.dropout(values, p)
        common = int(torch.randint(2**62, ()))  # the same in all parts, another in every layer
        generator = torch.Generator(values.device).manual_seed(common + self.start)
        kept = torch.empty_like(values).bernoulli_(1.0 - p, generator=generator)
        return values * kept / (1.0 - p)


def common_counts(present: torch.Tensor) -> torch.Tensor:
    """How many of the samples (B, M) have both i and j: (M, M) float32."""
    there = present.float()
    return there.T @ there
