"""The order in which an epoch goes through a split: the same whether the split is in memory or read from disk.

A split is cut into pieces of consecutive rows, which are shuffled and dealt into windows; within a window the rows are
shuffled. A split that fits into one window has all its rows shuffled at once. Sizes come from the bytes of a row
alone, never from the memory of the machine, so that a seed means the same order everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from omib_cli.runtime.seeds import derive_seed

PIECE_BYTES = 2**19
"""Bytes of a piece, unless a row is larger: enough for a disk to read at its speed."""
PIECES = 256
"""Pieces in a window: a batch mixes rows from so many places of the file."""


@dataclass(frozen=True)
class Window:
    """Part of an epoch.

    Attributes
    ----------
    pieces
        Ranges of rows of the split (counted from its start), in the order in which they are put side by side.
    order
        (n,) positions in that sequence of n rows, in the order in which they are visited.
    """

    pieces: list[range]
    order: torch.Tensor

    def __len__(self) -> int:
        return len(self.order)

    def rows(self) -> torch.Tensor:
        """Rows of the split in the order in which they are visited (n,)."""
        if len(self.pieces) == 1:
            return self.order + self.pieces[0].start
        return torch.cat([torch.arange(piece.start, piece.stop) for piece in self.pieces])[self.order]


@dataclass(frozen=True)
class Order:
    """How a split of ``count`` rows of ``row_bytes`` bytes is gone through."""

    count: int
    row_bytes: int

    @property
    def piece(self) -> int:
        """Rows of a piece."""
        return max(1, PIECE_BYTES // max(1, self.row_bytes))

    @property
    def window(self) -> int:
        """Most rows of a window."""
        return self.piece * PIECES

    def windows(self, seed: int, phase: str, epoch: int) -> Iterator[Window]:
        """Those of an epoch; they depend on nothing but the arguments and the split's size."""
        generator = torch.Generator().manual_seed(derive_seed(seed, phase, "order", epoch))
        if self.count <= self.window:
            yield Window([range(self.count)], torch.randperm(self.count, generator=generator))
            return
        starts = torch.randperm(-(-self.count // self.piece), generator=generator) * self.piece
        dealt = iter(starts.tolist())
        while taken := list(islice(dealt, PIECES)):
            pieces = [range(start, min(self.count, start + self.piece)) for start in taken]
            yield Window(pieces, torch.randperm(sum(map(len, pieces)), generator=generator))
