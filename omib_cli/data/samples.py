"""A split of a dataset as tensors in memory, checked once.

Notation: N samples, M modalities, B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any, Protocol

import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import Dataset
from omib_cli.data.checks import TrainingCheck
from omib_cli.data.order import Order, Window
from omib_cli.encoders.neighbourhood import Neighbourhood
from omib_cli.nn.batch import Batch, common_counts

INFERENCE_VALUES = 2**24
"""Input values in a batch of inference: what bounds its memory, whatever the modality."""
INFERENCE_ROWS = 1024
"""Most samples in a batch of inference."""


class Split(Protocol):
    """What training needs of a split, in memory or on disk; all samples come on the device that it was read for."""

    def __len__(self) -> int: ...

    @property
    def labels(self) -> torch.Tensor:
        """(N,) float32."""

    @property
    def present(self) -> torch.Tensor:
        """(N, M) bool: which modalities each sample has; in memory wherever the samples are."""

    @property
    def complete(self) -> bool:
        """Whether every sample has every modality."""

    @property
    def order(self) -> Order:
        """How an epoch goes through it."""

    @property
    def inference_batch(self) -> int:
        """Samples that inference takes at once."""

    def batches(self, size: int) -> Iterator[Samples]:
        """In order, ``size`` at a time."""

    def shuffled(self, windows: Iterable[Window], bounds: Sequence[tuple[int, int]]) -> Iterator[Samples]:
        """Batches of an epoch: those between the bounds, which are ascending places in the order of the windows."""


@dataclass(frozen=True)
class Samples:
    """Consecutive samples in memory.

    Attributes
    ----------
    values
        M tensors (N, ...) of the kind's dtype, zeros where a modality is missing; a Neighbourhood for a graph.
    labels
        (N,), float32: class indices or values; NaN where unknown.
    present
        (N, M) bool.
    complete
        Whether nothing is missing in the data that they are from.
    """

    values: list[torch.Tensor | Neighbourhood]
    labels: torch.Tensor
    present: torch.Tensor
    complete: bool

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def batch(self) -> Batch:
        """These samples as a whole batch."""
        return Batch.of(self.labels, self.present, self.complete)

    def take(self, index: torch.Tensor | slice) -> Samples:
        """The samples at ``index`` (B,)."""
        return self._each(lambda part: part[index])

    @property
    def inference_batch(self) -> int:
        """Samples that inference takes at once."""
        return inference_batch(tuple(value.shape[1:]) for value in self.values)

    @property
    def order(self) -> Order:
        """How an epoch goes through them; of graphs all at once, since a batch is one piece of its graph."""
        tensors = [value for value in self.values if isinstance(value, torch.Tensor)]
        sizes = [prod(value.shape[1:]) * value.element_size() for value in tensors]
        return Order(len(self), sum(sizes) if len(tensors) == len(self.values) else 0)

    def to(self, device: torch.device) -> Samples:
        """The same on a device; copied while the CPU goes on, where the memory is pinned."""
        return self if device == self.labels.device else self._each(lambda part: part.to(device, non_blocking=True))

    def copied(self) -> Samples:
        """The same in memory of its own; tensors only."""
        return self._each(lambda part: part.clone())

    def pinned(self) -> Samples:
        """The same in page-locked memory; tensors only."""
        return self._each(lambda part: part.pin_memory())

    def batches(self, size: int) -> Iterator[Samples]:
        """In order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))

    def _each(self, change: Callable[[Any], Any]) -> Samples:
        """A change of values, labels and presence alike."""
        values = [change(value) for value in self.values]
        return Samples(values, change(self.labels), change(self.present), self.complete)

    def shuffled(self, windows: Iterable[Window], bounds: Sequence[tuple[int, int]]) -> Iterator[Samples]:
        """Batches of an epoch, between the bounds."""
        begin, windows = from_place(windows, bounds)
        device = self.labels.device
        return cut(((self, window.rows().to(device)) for window in windows), bounds, begin)


def inference_batch(shapes: Iterable[tuple[int, ...]]) -> int:
    """Samples of modalities of these shapes that inference takes at once."""
    return max(1, min(INFERENCE_ROWS, INFERENCE_VALUES // max(map(prod, shapes))))


def from_place(windows: Iterable[Window], bounds: Sequence[tuple[int, int]]) -> tuple[int, Iterator[Window]]:
    """The windows from the one on in which the first bound lies, and where it begins; none where there is no bound."""
    begin, remaining = 0, iter(windows)
    for window in remaining:
        if bounds and bounds[0][0] < begin + len(window):
            return begin, chain([window], remaining)
        begin += len(window)
    return begin, iter(())


def cut(
    parts: Iterable[tuple[Samples, torch.Tensor]], bounds: Sequence[tuple[int, int]], begin: int
) -> Iterator[Samples]:
    """Batches between bounds, which may reach over the end of a part.

    A part is samples and the order (n,) to take them in; the first one begins at the place ``begin``.
    """
    if not bounds:
        return
    remaining = iter(parts)
    samples, index = next(remaining)
    for start, stop in bounds:
        pieces = []
        while start < stop:
            while start >= begin + len(index):
                begin += len(index)
                samples, index = next(remaining)
            upto = min(stop, begin + len(index))
            pieces.append(samples.take(index[start - begin : upto - begin]))
            start = upto
        yield joined(pieces)


def counts_of_batches(
    split: Split, windows: Iterable[Window], bounds: Sequence[tuple[int, int]]
) -> Iterator[torch.Tensor]:
    """How many samples of each batch have both i and j: (M, M), for batches between the bounds.

    Known before any of the batches is read, since presence is in memory: no process has to be asked.
    """
    if not bounds:  # an epoch whose last step was the last thing that was saved
        return
    begin, windows = from_place(windows, bounds)
    order = torch.cat([window.rows() for window in windows]).to(split.present.device)
    for start, stop in bounds:
        yield common_counts(split.present[order[start - begin : stop - begin]])


def joined(pieces: Sequence[Samples]) -> Samples:
    """Pieces of consecutive samples as one; of graphs there is only ever one piece."""
    if len(pieces) == 1:
        return pieces[0]
    values: list[torch.Tensor | Neighbourhood] = [
        torch.cat(list(of)) for of in zip(*(piece.values for piece in pieces), strict=True)
    ]
    labels, present = (torch.cat(each) for each in zip(*((p.labels, p.present) for p in pieces), strict=True))
    return Samples(values, labels, present, pieces[0].complete)


def read_samples(dataset: Dataset, rows: range, device: torch.device) -> Samples:
    """Read consecutive rows; the dataset refuses values and labels that are not finite or out of range."""
    labels = torch.from_numpy(dataset.labels(rows)).float().to(device)
    values = [_read(dataset, name, rows, device) for name in dataset.modalities]
    present = torch.from_numpy(dataset.present(rows))
    return Samples(values, labels, present.to(device), bool(present.all()))


def _read(dataset: Dataset, name: str, rows: range, device: torch.device) -> torch.Tensor | Neighbourhood:
    if dataset.modalities[name].kind != fmt.GRAPH:
        return torch.from_numpy(dataset.values(name, rows)).to(device)
    split = dataset.whole_splits(rows)  # no neighbour is outside
    neighbours = torch.from_numpy(dataset.neighbours(name, split)).long()
    neighbours = torch.where(neighbours < 0, neighbours, neighbours - split.start)
    graph = Neighbourhood.of(torch.from_numpy(dataset.values(name, split)), neighbours)
    return graph[slice(rows.start - split.start, rows.stop - split.start)].to(device)


def read_split(dataset: Dataset, split: str, device: torch.device) -> Samples:
    """Read a split for training or validation into memory; what it must be is in :mod:`omib_cli.data.checks`."""
    samples = read_samples(dataset, dataset.rows(split), device)
    if split == "train":
        check = TrainingCheck(dataset)
        check.look(dict(zip(dataset.modalities, samples.values, strict=True)), samples.present)
        check.close()
    return samples
