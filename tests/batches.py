"""Batches for networks that are tried by themselves."""

from __future__ import annotations

from itertools import pairwise

import torch

from omib_cli.nn.batch import Batch


def whole(values, modalities: int = 1) -> Batch:
    """A whole batch of as many samples as there are values, nothing missing."""
    return Batch.of(torch.zeros(len(values)), torch.ones(len(values), modalities, dtype=torch.bool))


def encoded(encoder, values):
    """What an encoder makes of a whole batch."""
    return encoder(values, whole(values))


def parts_of(batch: Batch, *sizes: int) -> list[Batch]:
    """A batch divided into consecutive parts of these sizes."""
    ranges = [range(start, stop) for start, stop in pairwise(torch.tensor([0, *sizes]).cumsum(0).tolist())]
    cuts = [(rows, slice(rows.start, rows.stop)) for rows in ranges]
    return [
        Batch.of(batch.label[cut], batch.present[cut], batch.complete).part(rows, batch.counts, len(batch))
        for rows, cut in cuts
    ]
