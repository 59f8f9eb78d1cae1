"""A split of a dataset as tensors, checked once, and the order in which training goes through it.

Notation: N samples, M modalities, B batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from omib_cli.artifacts.dataset import Dataset
from omib_cli.errors import DataError
from omib_cli.runtime.seeds import derive_seed


@dataclass(frozen=True)
class Samples:
    """Consecutive samples in memory.

    Attributes
    ----------
    values
        M tensors (N, ...), float32; zeros where a modality is missing.
    labels
        (N,), float32: class indices or values.
    present
        (N, M) bool, or None if every sample has every modality.
    """

    values: list[torch.Tensor]
    labels: torch.Tensor
    present: torch.Tensor | None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: torch.Tensor) -> Samples:
        """The samples at ``index`` (B,)."""
        present = None if self.present is None else self.present[index]
        return Samples([value[index] for value in self.values], self.labels[index], present)

    def batches(self, size: int) -> Iterator[Samples]:
        """In order, ``size`` at a time."""
        for start in range(0, len(self), size):
            stop = start + size
            present = None if self.present is None else self.present[start:stop]
            yield Samples([value[start:stop] for value in self.values], self.labels[start:stop], present)


def read_samples(dataset: Dataset, rows: range, device: torch.device) -> Samples:
    """Read consecutive rows; the dataset refuses values and labels that are not finite or out of range."""
    labels = torch.from_numpy(dataset.labels(rows)).float().to(device)
    values = [torch.from_numpy(dataset.values(name, rows)).to(device) for name in dataset.modalities]
    present = torch.from_numpy(dataset.present(rows))
    everything = bool(present.all())
    return Samples(values, labels, None if everything else present.to(device))


def read_split(dataset: Dataset, split: str, device: torch.device) -> Samples:
    """Read a split for training or validation; classes must be more than one in training.

    Raises
    ------
    DataError
        Too few samples to train on, or one class only.
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
        if dataset.classes and bool((samples.labels == samples.labels[0]).all()):
            only = dataset.classes[int(samples.labels[0])]
            raise DataError("all training samples have the same label", where=dataset.path, got=f"only class {only!r}")
    return samples


def epoch_order(count: int, seed: int, phase: str, epoch: int) -> torch.Tensor:
    """The order (count,) in which an epoch visits its samples; depends on nothing but the arguments."""
    generator = torch.Generator().manual_seed(derive_seed(seed, phase, "order", epoch))
    return torch.randperm(count, generator=generator)
