"""Random numbers for a batch that may be part of a larger one, and are the same for a sample whichever part it is in.

Where a batch is divided (among processes, or to save memory), each part draws the numbers of the whole batch and keeps
those of its own rows, so that training does not depend on the division. A whole batch draws what torch would draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Part:
    """Rows ``start`` to ``stop`` of a batch of ``total``; what it weighs is its share of the rows, or 0 for a stand-in.

    Attributes
    ----------
    weight
        Share of the whole batch.
    among_processes
        Whether the other parts are at work at the same time, so that sums over all of them can be had.
    """

    start: int
    stop: int
    total: int
    weight: float
    among_processes: bool = False


_current: list[Part] = []


@contextmanager
def working_on(part: Part | None) -> Iterator[None]:
    """Within the block the batch at hand is this part of the whole one; None where it is whole."""
    if part is None:
        yield
        return
    _current.append(part)
    try:
        yield
    finally:
        _current.pop()


def current_part() -> Part | None:
    """The part at hand, or None."""
    return _current[-1] if _current else None


def drawn(draw: Callable[[list[int]], torch.Tensor], shape: tuple[int, ...] | torch.Size, dim: int = 0) -> torch.Tensor:
    """Numbers of a shape whose dimension ``dim`` goes through the samples of the batch, so many entries for each."""
    part = current_part()
    rows = 0 if part is None else part.stop - part.start
    if part is None or shape[dim] % rows:
        return draw(list(shape))
    each = shape[dim] // rows
    whole = draw([*shape[:dim], each * part.total, *shape[dim + 1 :]])
    return whole.narrow(dim, each * part.start, shape[dim])


def randn_like(values: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers of the shape (B, ...) of ``values``."""
    return drawn(lambda shape: torch.randn(shape, dtype=values.dtype, device=values.device), values.shape)


class Dropout(nn.Dropout):
    """Dropout of (B, ...) values, or of several consecutive rows for each sample."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As its parent, of a whole batch."""
        if current_part() is None or not self.training or self.p == 0.0:
            return super().forward(input)
        return input * drawn(lambda shape: self._factors(shape, input), input.shape)

    def _factors(self, shape: list[int], like: torch.Tensor) -> torch.Tensor:
        """0 where a value is dropped, what it is scaled by elsewhere."""
        return functional.dropout(torch.ones(shape, dtype=like.dtype, device=like.device), self.p)
