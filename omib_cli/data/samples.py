"""A split of a dataset as tensors, checked once, and the order in which training goes through it.

Notation: N samples, M modalities, B batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import Dataset
from omib_cli.encoders.neighbourhood import Neighbourhood
from omib_cli.errors import DataError
from omib_cli.runtime.seeds import derive_seed

INFERENCE_VALUES = 2**24
"""Input values in a batch of inference: what bounds its memory, whatever the modality."""
INFERENCE_ROWS = 1024
"""Most samples in a batch of inference."""


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
        (N, M) bool, or None if every sample has every modality.
    """

    values: list[torch.Tensor | Neighbourhood]
    labels: torch.Tensor
    present: torch.Tensor | None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: torch.Tensor) -> Samples:
        """The samples at ``index`` (B,)."""
        present = None if self.present is None else self.present[index]
        return Samples([value[index] for value in self.values], self.labels[index], present)

    @property
    def inference_batch(self) -> int:
        """Samples that inference takes at once."""
        largest = max(prod(value.shape[1:]) for value in self.values)
        return max(1, min(INFERENCE_ROWS, INFERENCE_VALUES // largest))

    def to(self, device: torch.device) -> Samples:
        """The same on a device."""
        present = None if self.present is None else self.present.to(device)
        return Samples([value.to(device) for value in self.values], self.labels.to(device), present)

    def batches(self, size: int) -> Iterator[Samples]:
        """In order, ``size`` at a time."""
        for start in range(0, len(self), size):
            stop = start + size
            present = None if self.present is None else self.present[start:stop]
            yield Samples([value[start:stop] for value in self.values], self.labels[start:stop], present)


def read_samples(dataset: Dataset, rows: range, device: torch.device) -> Samples:
    """Read consecutive rows; the dataset refuses values and labels that are not finite or out of range."""
    labels = torch.from_numpy(dataset.labels(rows)).float().to(device)
    values = [_read(dataset, name, rows, device) for name in dataset.modalities]
    present = torch.from_numpy(dataset.present(rows))
    everything = bool(present.all())
    return Samples(values, labels, None if everything else present.to(device))


def _read(dataset: Dataset, name: str, rows: range, device: torch.device) -> torch.Tensor | Neighbourhood:
    if dataset.modalities[name].kind != fmt.GRAPH:
        return torch.from_numpy(dataset.values(name, rows)).to(device)
    split = dataset.whole_splits(rows)  # no neighbour is outside
    neighbours = torch.from_numpy(dataset.neighbours(name, split)).long()
    neighbours = torch.where(neighbours < 0, neighbours, neighbours - split.start)
    graph = Neighbourhood.of(torch.from_numpy(dataset.values(name, split)), neighbours)
    return graph[slice(rows.start - split.start, rows.stop - split.start)].to(device)


def read_split(dataset: Dataset, split: str, device: torch.device) -> Samples:
    """Read a split for training or validation; classes must be more than one in training.

    Raises
    ------
    DataError
        Too few samples to train on, one class only, or a modality that says nothing.
    """
    samples = read_samples(dataset, dataset.rows(split), device)
    if split == "train":
        if len(samples) < 2:
            raise DataError(
                "too few samples to train on",
                where=dataset.path,
                got=f"{len(samples)} in the train split",
                expected="2 at the very least, hundreds to learn anything",
            )
        for i, (name, modality) in enumerate(dataset.modalities.items()):
            values = samples.values[i]
            if modality.kind == fmt.VECTOR and isinstance(values, torch.Tensor):
                must_vary(values if samples.present is None else values[samples.present[:, i]], name, dataset)
        if dataset.task == "anomaly":
            _must_be_normal(samples.labels, dataset)
        elif dataset.classes and bool((samples.labels == samples.labels[0]).all()):
            only = dataset.classes[int(samples.labels[0])]
            raise DataError("all training samples have the same label", where=dataset.path, got=f"only class {only!r}")
    return samples


def must_vary(values: torch.Tensor, name: str, dataset: Dataset) -> None:
    """Refuse a modality (N, D) that no training sample has, or that is the same in all of them."""
    if len(values) == 0:
        raise DataError(f"no training sample has modality {name!r}", where=dataset.path, do="leave it out")
    if len(values) > 1 and bool((values == values[0]).all()):
        raise DataError(
            f"modality {name!r} is constant: the same in every training sample",
            where=f"{dataset.path}:/{fmt.MODALITIES}/{name}",
            do="leave it out, or prepare the data again",
        )


def _must_be_normal(labels: torch.Tensor, dataset: Dataset) -> None:
    """Refuse to learn what is normal from samples that are known not to be."""
    if anomalies := int((labels == 1).sum()):
        raise DataError(
            "labelled anomalies in the training split",
            where=dataset.path,
            got=f"{anomalies} of {len(labels)} samples",
            expected="normal samples, or samples without a label",
            do="prepare the data again: `omib prepare` leaves them out or refuses them",
        )


def epoch_order(count: int, seed: int, phase: str, epoch: int) -> torch.Tensor:
    """The order (count,) in which an epoch visits its samples; depends on nothing but the arguments."""
    generator = torch.Generator().manual_seed(derive_seed(seed, phase, "order", epoch))
    return torch.randperm(count, generator=generator)
