"""Concatenation: u = [z_1; ..; z_M]."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from omib_cli.fusion.joined import Joined
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import ConcatOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class Concat(Joined):
    """The encodings side by side; in anomaly detection this is Deep SVDD on them.

    The literature on CREMA-D has a linear head (`head: {hidden: 0}`); here it is the recipe's, as for every method.
    """

    def __init__(self, options: ConcatOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.head = task.make_head(sum(widths.values()), head)

    def join(self, z: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        """(B, d_1 + .. + d_M)."""
        return torch.cat(batch.fill_each(z), dim=-1)
