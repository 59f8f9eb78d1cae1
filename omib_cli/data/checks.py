"""What a training split must be: samples enough, of more than one class, in modalities that say something."""

from __future__ import annotations

import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import Dataset
from omib_cli.encoders.neighbourhood import Neighbourhood
from omib_cli.errors import DataError


class TrainingCheck:
    """Looks at a training split, a block of rows at a time."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        vectors = [name for name, modality in dataset.modalities.items() if modality.kind == fmt.VECTOR]
        self._vectors = {name: Variation() for name in vectors}
        _must_be_enough(len(dataset.rows("train")), dataset)
        _must_have_labels_to_learn(torch.from_numpy(dataset.labels(dataset.rows("train"))), dataset)

    def look(self, values: dict[str, torch.Tensor | Neighbourhood], present: torch.Tensor) -> None:
        """See consecutive rows: values by modality (n, ...), presence (n, M)."""
        for i, name in enumerate(self._dataset.modalities):
            rows = values[name]
            if name in self._vectors and isinstance(rows, torch.Tensor):
                self._vectors[name].see(rows[present[:, i]])

    def close(self) -> None:
        """Refuse the split for a modality that says nothing."""
        for name, variation in self._vectors.items():
            must_vary(variation, name, self._dataset)


class Variation:
    """Whether rows (n, D) that come block by block are all the same."""

    def __init__(self) -> None:
        self.count = 0
        self.varies = False
        self._first: torch.Tensor | None = None

    def see(self, rows: torch.Tensor) -> Variation:
        """See some."""
        if len(rows) and self._first is None:
            self._first = rows[0].clone()
        self.count += len(rows)
        if not self.varies and self._first is not None:
            self.varies = not bool((rows == self._first).all())
        return self


def must_vary(variation: Variation, name: str, dataset: Dataset) -> None:
    """Refuse a modality that no training sample has, or that is the same in all of them."""
    if not variation.count:
        raise DataError(f"no training sample has modality {name!r}", where=dataset.path, do="leave it out")
    if variation.count > 1 and not variation.varies:
        raise DataError(
            f"modality {name!r} is constant: the same in every training sample",
            where=f"{dataset.path}:/{fmt.MODALITIES}/{name}",
            do="leave it out, or prepare the data again",
        )


def _must_be_enough(count: int, dataset: Dataset) -> None:
    if count < 2:
        raise DataError(
            "too few samples to train on",
            where=dataset.path,
            got=f"{count} in the train split",
            expected="2 at the very least, hundreds to learn anything",
        )


def _must_have_labels_to_learn(labels: torch.Tensor, dataset: Dataset) -> None:
    """Refuse one class only, and no event; where normal is to be learnt, samples that are known not to be."""
    if dataset.task == "survival" and not bool((labels > 0).any()):
        raise DataError("no event in the training split: every sample is censored", where=dataset.path)
    if dataset.task == "anomaly":
        if anomalies := int((labels == 1).sum()):
            raise DataError(
                "labelled anomalies in the training split",
                where=dataset.path,
                got=f"{anomalies} of {len(labels)} samples",
                expected="normal samples, or samples without a label",
                do="prepare the data again: `omib prepare` leaves them out or refuses them",
            )
    elif dataset.classes and bool((labels == labels[0]).all()):
        only = dataset.classes[int(labels[0])]
        raise DataError("all training samples have the same label", where=dataset.path, got=f"only class {only!r}")
