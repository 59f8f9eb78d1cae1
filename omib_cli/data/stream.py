"""A split that is read from disk while training goes through it: memory holds two windows, whatever its size.

Notation: N samples, M modalities, n rows of a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod

import numpy as np
import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import Dataset
from omib_cli.data.checks import TrainingCheck
from omib_cli.data.order import Order, Window
from omib_cli.data.samples import Samples, cut, from_place, inference_batch
from omib_cli.encoders.neighbourhood import Neighbourhood

Buffer = dict[str, torch.Tensor]

READ_BYTES = 2**23
"""Bytes that are read at once where rows are read in their order."""


class Stream:
    """A split on disk; labels and presence are in memory.

    Parameters
    ----------
    dataset
        Stays open as long as this is used. No modality is a graph.
    device
        Where batches are put.

    Raises
    ------
    DataError
        The split cannot be trained on, or holds values that are not finite: the whole of it is looked at once.
    """

    def __init__(self, dataset: Dataset, split: str, device: torch.device) -> None:
        self._dataset, self._device = dataset, device
        self._rows = dataset.rows(split)
        self.labels = torch.from_numpy(dataset.labels(self._rows)).float()
        self.present = torch.from_numpy(dataset.present(self._rows))
        self.complete = bool(self.present.all())
        self.order = Order(len(self._rows), row_bytes(dataset))
        self.inference_batch = inference_batch(modality.shape for modality in dataset.modalities.values())
        self._buffers: list[Buffer] = []
        self._look(split)

    def __len__(self) -> int:
        return len(self._rows)

    def batches(self, size: int) -> Iterator[Samples]:
        """In order, ``size`` at a time."""
        at_once = size * max(1, READ_BYTES // max(1, size * self.order.row_bytes))
        ranges = [range(start, min(len(self), start + at_once)) for start in range(0, len(self), at_once)]
        for samples in self._read_ahead(([piece] for piece in ranges), at_once):
            for batch in samples.batches(size):
                yield self._put(batch.copied())

    def shuffled(self, windows: Iterable[Window], bounds: Sequence[tuple[int, int]]) -> Iterator[Samples]:
        """Batches of an epoch, between the bounds."""
        begin, windows = from_place(windows, bounds)
        orders: list[torch.Tensor] = []

        def pieces() -> Iterator[list[range]]:
            for window in windows:
                orders.append(window.order)
                yield window.pieces

        read = self._read_ahead(pieces(), min(self.order.window, len(self)))
        return map(self._put, cut(((samples, orders.pop(0)) for samples in read), bounds, begin))

    def _read_ahead(self, parts: Iterator[list[range]], most: int) -> Iterator[Samples]:
        """The rows of each part, of at most ``most`` rows; the next part is read while this one is used.

        What is yielded lies in a buffer that is filled again once the next one has been asked for.
        """
        # Two buffers take turns: the reader fills the one that the caller has done with while the caller works on the
        # other. The caller has done with a buffer when it asks for the next samples, which is when this generator goes
        # on: only then may the reader have it. (Batches that outlive that are copies.)
        buffers = self._buffers_for(most)
        with ThreadPoolExecutor(max_workers=1) as reader:

            def begin(buffer: Buffer) -> Future[Samples] | None:
                pieces = next(parts, None)
                return None if pieces is None else reader.submit(self._read, pieces, buffer)

            coming, turn = begin(buffers[0]), 0
            while coming is not None:
                samples, turn = coming.result(), 1 - turn
                coming = begin(buffers[turn])
                yield samples

    def _buffers_for(self, rows: int) -> list[Buffer]:
        """Two buffers with room for so many rows; those of before if they are large enough."""
        if not self._buffers or len(next(iter(self._buffers[0].values()))) < rows:
            self._buffers = [
                {
                    name: torch.empty((rows, *modality.shape), dtype=getattr(torch, fmt.DTYPES[modality.kind]))
                    for name, modality in self._dataset.modalities.items()
                }
                for _ in range(2)
            ]
        return self._buffers

    def _read(self, pieces: Sequence[range], buffer: Buffer) -> Samples:
        """Rows of the split, put side by side in a buffer."""
        begin = 0
        for piece in pieces:
            for name, values in buffer.items():
                into = values[begin : begin + len(piece)].numpy()
                start = self._rows.start + piece.start
                self._dataset.read_into(name, range(start, start + len(piece)), into)
            begin += len(piece)
        rows = torch.cat([torch.arange(piece.start, piece.stop) for piece in pieces])
        read: list[torch.Tensor | Neighbourhood] = [values[:begin] for values in buffer.values()]
        return Samples(read, self.labels[rows], self.present[rows], self.complete)

    def _put(self, batch: Samples) -> Samples:
        return batch.pinned().to(self._device) if self._device.type == "cuda" else batch.to(self._device)

    def _look(self, split: str) -> None:
        """See all values once."""
        check = TrainingCheck(self._dataset) if split == "train" else None
        for rows in self._dataset.blocks(self._rows):
            values = {name: torch.from_numpy(self._dataset.values(name, rows)) for name in self._dataset.modalities}
            start = rows.start - self._rows.start
            if check is not None:
                check.look(dict(values), self.present[start : start + len(rows)])
        if check is not None:
            check.close()


def row_bytes(dataset: Dataset) -> int:
    """Bytes of a sample, all modalities together."""
    sizes = [
        prod(modality.shape) * np.dtype(fmt.DTYPES[modality.kind]).itemsize for modality in dataset.modalities.values()
    ]
    return sum(sizes)
