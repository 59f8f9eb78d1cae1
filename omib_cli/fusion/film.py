"""FiLM, feature-wise linear modulation (Perez et al. 2018), as the literature on CREMA-D uses it (Peng et al. 2022).

For two modalities, (gamma, beta) = W z_1 + b and u = gamma * z_2 + beta.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.joined import Joined
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import FilmOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task


class Film(Joined):
    """Every other modality in turn scales and shifts the base.

    Adapted: more than two modalities, each modulating what the ones before have made of the base. There gamma is
    1 + W z (the original's residual form), for raw factors start near 0 and their product vanishes.
    """

    def __init__(self, options: FilmOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.base = len(widths) - 1 if options.base is None else self.names.index(options.base)
        width = widths[self.names[self.base]]
        is_residual = (options.scale or ("raw" if len(widths) == 2 else "residual")) == "residual"
        self.offset = 1.0 if is_residual else 0.0
        self.modulators = nn.ModuleDict(
            {str(i): nn.Linear(d, 2 * width, bias=task.bias) for i, d in enumerate(widths.values()) if i != self.base}
        )
        self.head = task.make_head(width, head)

    def join(self, z: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        """(B, d_base)."""
        u = batch.fill(z[self.base], self.base)
        for i, modulator in self.modulators.items():
            scale, shift = modulator(z[int(i)]).chunk(2, dim=-1)
            u = batch.fill(self.offset + scale, int(i), 1.0) * u + batch.fill(shift, int(i))
        return u
