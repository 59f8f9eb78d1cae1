"""How a batch is divided: among processes that work at the same time, and into micro-batches that come in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from omib_cli.data.samples import Samples
from omib_cli.distributed import processes
from omib_cli.nn.batch import Batch


def share(start: int, stop: int) -> tuple[int, int]:
    """The share of this process in the places from ``start`` to ``stop``; empty where there are more processes."""
    count, rank, world_size = stop - start, processes.rank(), processes.world_size()
    return start + count * rank // world_size, start + count * (rank + 1) // world_size


def own_rows(start: int, stop: int) -> tuple[int, int]:
    """:func:`share`, or where that is empty the first place, as a stand-in: every process takes part in every step."""
    begin, end = share(start, stop)
    return (begin, end) if begin < end else (start, start + 1)


@dataclass(frozen=True)
class Division:
    """Of a batch of ``total`` samples, of which this process has its own rows; at most ``micro`` at a time.

    ``counts`` (M, M) says how many of the whole batch have both of two modalities; None where all of it is here.
    """

    total: int
    micro: int | None = None
    counts: torch.Tensor | None = None

    def pieces(self, own: Samples) -> Iterator[tuple[Samples, Batch]]:
        """Pieces of the process's rows, in turn, each with what it is of the whole batch."""
        batch, most = own.batch, -(-self.total // processes.world_size())  # the largest share: alike in all processes
        in_turn = self.micro is not None and self.micro < most
        if processes.world_size() == 1 and not in_turn:
            yield own, batch
            return
        begin, end = share(0, self.total)
        counts = batch.counts if self.counts is None else self.counts
        number = -(-len(own) // self.micro) if in_turn and self.micro else 1
        for k in range(number):
            start, stop = len(own) * k // number, len(own) * (k + 1) // number  # of even sizes: none of a single row
            piece = own.take(slice(start, stop)) if in_turn else own
            rows = range(begin + start, begin + stop)
            found = piece.batch.part(rows, counts, self.total, at_once=not in_turn)
            yield piece, found if begin < end else found.stand_in()
