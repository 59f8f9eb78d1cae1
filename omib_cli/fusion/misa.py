"""MISA: modality-invariant and -specific representations (Hazarika et al. 2020).

Each projected encoding p_i has a private and a shared part of width h; a transformer layer mixes the 2 M parts:

    L = T(u) + w_d L_difference + w_s L_similarity + w_r L_reconstruction

The shared parts should be distributed alike (central moments), private parts should be orthogonal to shared ones and
to each other, and both together should restore p_i.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.attention import key_padding
from omib_cli.fusion.base import (
    Fused,
    FusionMethod,
    StepLosses,
    Term,
    both,
    column,
    each_where_present,
    mean_present,
    weighted,
)
from omib_cli.fusion.pairs import mean_of_pairs, pairs_of
from omib_cli.recipe.fusion import MisaOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task

MOMENTS = 5
HEADS, FEED_FORWARD, DROPOUT = 2, 2048, 0.1


class Misa(FusionMethod):
    """Projections, parts, one transformer layer, and the head on its 2 M tokens side by side.

    Adapted: the head is the recipe's (the source has one hidden layer of width M h with dropout 0.5); CMD's roots are
    of s + 1e-8, whose gradient is finite where codes are constant; any number of modalities, and L_difference remains
    a sum over M private-shared and M (M - 1) / 2 private-private pairs. In anomaly detection no layer has a bias, but
    the sigmoids of the parts stand around .5.
    """

    def __init__(self, options: MisaOptions, widths: dict[str, int], task: Task, head: HeadOptions) -> None:
        super().__init__(options, widths, task, head)
        self.options = options
        h, count, bias = options.width, len(widths), task.bias
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(d, h, bias=bias), nn.ReLU(), nn.LayerNorm(h, bias=bias)) for d in widths.values()
        )
        self.private = nn.ModuleList(nn.Linear(h, h, bias=bias) for _ in widths)
        self.shared = nn.Linear(h, h, bias=bias)
        self.restore = nn.ModuleList(nn.Linear(h, h) for _ in widths)
        self.mixer = nn.TransformerEncoderLayer(h, HEADS, FEED_FORWARD, DROPOUT, batch_first=True, bias=bias)
        self.head = task.make_head(2 * count * h, head)

    def losses(self, z: Sequence[torch.Tensor], label: torch.Tensor, present: torch.Tensor | None) -> StepLosses:
        """The task's loss and the three regularisers, in which no label enters."""
        projected, private, shared = self._parts(z)
        output = self.head(self._mix(private, shared, present))
        here = [column(present, i) for i in range(len(z))]
        similarity = mean_of_pairs(len(z), present, lambda i, j, rows: cmd(shared[i], shared[j], rows))
        differences = [difference(own, common, rows) for own, common, rows in zip(private, shared, here, strict=True)]
        differences += [difference(private[i], private[j], both(here[i], here[j])) for i, j in pairs_of(len(z))]
        errors = [
            mean_present((restore(own + common) - p).float().square().mean(dim=-1), rows)
            for restore, own, common, p, rows in zip(self.restore, private, shared, projected, here, strict=True)
        ]
        return weighted(
            [
                Term("task", 1.0, self.task.loss(output, label).mean()),
                Term("difference", self.options.difference, torch.stack(differences).sum()),
                Term("similarity", self.options.similarity, similarity),
                Term("reconstruction", self.options.reconstruction, torch.stack(errors).mean()),
            ]
        )

    def fuse(self, z: Sequence[torch.Tensor], present: torch.Tensor | None) -> Fused:
        """Inference."""
        _, private, shared = self._parts(z)
        u = self._mix(private, shared, present)
        return Fused(u, self.head(u))

    def _parts(self, z: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """p_i, private and shared parts, each M x (B, h)."""
        projected = [projection(zi) for projection, zi in zip(self.projections, z, strict=True)]
        private = [torch.sigmoid(own(p)) for own, p in zip(self.private, projected, strict=True)]
        return projected, private, [torch.sigmoid(self.shared(p)) for p in projected]

    def _mix(
        self, private: Sequence[torch.Tensor], shared: Sequence[torch.Tensor], present: torch.Tensor | None
    ) -> torch.Tensor:
        """The 2 M parts, private ones first, to u (B, 2 M h)."""
        twice = None if present is None else torch.cat([present, present], dim=1)
        tokens = torch.stack([*private, *shared], dim=1)
        mixed = self.mixer(tokens, src_key_padding_mask=key_padding(twice))
        return torch.cat(each_where_present(mixed.unbind(dim=1), twice), dim=-1)


def cmd(x: torch.Tensor, y: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    """Central moment discrepancy of (B, h) and (B, h) up to the fifth moment, over the rows present (B,): a scalar.

    ||E x - E y|| + sum_k ||E (x - E x)^k - E (y - E y)^k||, powers and expectations by coordinate.
    """
    x, y = x.float(), y.float()
    mean_x, mean_y = mean_row(x, present), mean_row(y, present)
    moments = [
        mean_row((x - mean_x) ** k, present) - mean_row((y - mean_y) ** k, present) for k in range(2, MOMENTS + 1)
    ]
    return torch.stack([_norm(gap) for gap in (mean_x - mean_y, *moments)]).sum()


def difference(x: torch.Tensor, y: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    """Mean squared entry of X^T Y (h, h), rows centred over the batch, then of length 1 (a constant): a scalar."""
    left, right = (_unit_rows(values.float(), present) for values in (x, y))
    return (left.T @ right).square().mean()


def mean_row(values: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    """Mean (h,) of the rows of (B, h) that are present; 0 if none is."""
    if present is None:
        return values.mean(dim=0)
    weight = present[:, None].to(values.dtype)
    return (values * weight).sum(dim=0) / weight.sum().clamp_min(1.0)


def _unit_rows(values: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    centred = values - mean_row(values, present)
    unit: torch.Tensor = centred / (centred.norm(dim=-1, keepdim=True).detach() + 1e-6)
    return unit if present is None else unit * present[:, None]


def _norm(values: torch.Tensor) -> torch.Tensor:
    return (values.square().sum() + 1e-8).sqrt()
