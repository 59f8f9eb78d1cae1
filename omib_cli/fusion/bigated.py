"""BiGated (after Kiela et al. 2018), as the literature on CREMA-D computes it (Peng et al. 2022).

For two modalities, u = sigmoid(W_1 z_1 + b_1) * (W_2 z_2 + b_2); Kiela's bilinear form is not part of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.joined import Joined
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import BiGatedOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class BiGated(Joined):
    """The other modalities open and close gates on the features of the base.

    Adapted: more than two modalities, whose gates are averaged (a product of many gates is near 0).
    """

    def __init__(self, options: BiGatedOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.base = len(widths) - 1 if options.base is None else self.names.index(options.base)
        self.others = [i for i in range(len(widths)) if i != self.base]
        self.gates = options.gates or ("product" if len(widths) == 2 else "mean")
        width = options.width or next(iter(widths.values()))
        self.projections = nn.ModuleList(nn.Linear(d, width, bias=task.bias) for d in widths.values())
        self.head = task.make_head(width, head)

    def join(self, z: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        """(B, h)."""
        projected = torch.stack([projection(zi) for projection, zi in zip(self.projections, z, strict=True)])
        here = batch.present.T[..., None]
        base = torch.where(here[self.base], projected[self.base], 1.0)
        return base * self._gate(torch.sigmoid(projected[self.others]), here[self.others])

    def _gate(self, gates: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        """(M - 1, B, h), presence (M - 1, B, 1) to (B, h); open where there is no gate."""
        if self.gates == "product":
            return torch.where(here, gates, 1.0).prod(dim=0)
        count = here.sum(dim=0)
        return torch.where(count > 0, torch.where(here, gates, 0.0).sum(dim=0) / count.clamp_min(1), 1.0)
