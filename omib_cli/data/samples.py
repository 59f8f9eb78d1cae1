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
    """Read consecutive rows and check them.

    Raises
    ------
    DataError
        A value is not finite, or a label is not finite or not the index of a class.
    """
    labels = torch.from_numpy(dataset.labels(rows))
    _check_labels(dataset, labels, rows)
    values = []
    for name in dataset.modalities:
        tensor = torch.from_numpy(dataset.values(name, rows))
        if not torch.isfinite(tensor).all():
            row = int((~torch.isfinite(tensor).reshape(len(tensor), -1).all(dim=1)).nonzero()[0])
            raise DataError(
                "a value is not a finite number",
                where=f"{dataset.path}:/modalities/{name}, sample {dataset.ids(rows[row : row + 1])[0]!r}",
                got="NaN or infinity",
                do="impute or drop it before, or let omib prepare do so (data.impute)",
            )
        values.append(tensor.to(device))
    present = torch.from_numpy(dataset.present(rows))
    everything = bool(present.all())
    return Samples(values, labels.float().to(device), None if everything else present.to(device))


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


def _check_labels(dataset: Dataset, labels: torch.Tensor, rows: range) -> None:
    bad = ~torch.isfinite(labels)
    if dataset.classes:
        bad |= (labels < 0) | (labels >= len(dataset.classes)) | (labels != labels.floor())
    if bad.any():
        row = int(bad.nonzero()[0])
        classes = f"a class index from 0 to {len(dataset.classes) - 1}" if dataset.classes else "a finite number"
        raise DataError(
            "a label is out of range",
            where=f"{dataset.path}:/labels, sample {dataset.ids(rows[row : row + 1])[0]!r}",
            got=f"{labels[row].item():g}",
            expected=classes,
        )
