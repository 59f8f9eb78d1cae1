"""How a batch is divided: among processes that work at the same time, and into micro-batches that come in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from omib_cli.data.samples import Samples
from omib_cli.distributed import processes
from omib_cli.runtime.noise import Part


def share(start: int, stop: int) -> tuple[int, int]:
    """The share of this process in the places from ``start`` to ``stop``; empty where there are more processes."""
    count, rank = stop - start, processes.rank()
    return start + count * rank // processes.world_size(), start + count * (rank + 1) // processes.world_size()


def own_rows(start: int, stop: int) -> tuple[int, int]:
    """:func:`share`, or where that is empty the first place, as a stand-in: every process takes part in every step."""
    begin, end = share(start, stop)
    return (begin, end) if begin < end else (start, start + 1)


@dataclass(frozen=True)
class Division:
    """Of a batch of ``total`` samples, of which this process has its own rows; at most ``micro`` at a time."""

    total: int
    micro: int | None = None

    def pieces(self, own: Samples) -> Iterator[tuple[Samples, Part | None]]:
        """Pieces of the process's rows, in turn, and which part of the batch each is; None for the whole of it."""
        if processes.world_size() == 1 and (self.micro is None or self.micro >= self.total):
            yield own, None
            return
        begin, end = share(0, self.total)
        begin, own_weight = (begin, 1.0) if begin < end else (0, 0.0)
        in_turn = self.micro is not None and self.micro < -(
            -self.total // processes.world_size()
        )  # alike in all processes
        size = self.micro if in_turn and self.micro else len(own)
        for start in range(0, len(own), size):
            stop = min(len(own), start + size)
            piece = own.take(torch.arange(start, stop, device=own.labels.device)) if in_turn else own
            weight = own_weight * (stop - start) / self.total
            yield piece, Part(begin + start, begin + stop, self.total, weight, among_processes=not in_turn)
