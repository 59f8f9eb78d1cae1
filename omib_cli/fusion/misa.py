"""MISA: modality-invariant and -specific representations (Hazarika et al. 2020).

Each projected encoding p_i has a private and a shared code of width h; a transformer layer mixes the 2 M codes:

    L = T(u) + w_d L_difference + w_s L_similarity + w_r L_reconstruction

The shared codes should be distributed alike (central moments), private codes should be orthogonal to shared ones and
to each other, and both together should restore p_i.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from omib_cli.fusion.base import Fused, FusionMethod, StepLosses, Term, weighted
from omib_cli.fusion.pairs import mean_of_pairs, pairs_of
from omib_cli.nn.attention import self_attention
from omib_cli.nn.batch import Batch
from omib_cli.recipe.fusion import MisaOptions
from omib_cli.recipe.heads import HeadOptions
from omib_cli.tasks.base import Task

MOMENTS = 5
HEADS, FEED_FORWARD, DROPOUT = 2, 2048, 0.1


class Misa(FusionMethod):
    """Projections, codes, one transformer layer, and the head on its 2 M tokens side by side.

    Adapted: the head is the recipe's (the source has one hidden layer of width M h with dropout 0.5); CMD's roots are
    of s + 1e-8, whose gradient is finite where codes are constant; any number of modalities, and L_difference remains
    a sum over M private-shared and M (M - 1) / 2 private-private pairs. In anomaly detection no layer has a bias, but
    the sigmoids of the codes stand around .5.
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

    def losses(self, z: Sequence[torch.Tensor], batch: Batch) -> StepLosses:
        """The task's loss and the three regularisers, in which no label enters."""
        projected, private, shared = self._codes(z)
        output = self.head(self._mix(private, shared, batch), batch)
        similarity = mean_of_pairs(len(z), lambda i, j: cmd(shared[i], shared[j], batch.has(i, j)))
        differences = [difference(private[i], shared[i], batch.has(i)) for i in range(len(z))]
        differences += [difference(private[i], private[j], batch.has(i, j)) for i, j in pairs_of(len(z))]
        restored = [restore(own + common) for restore, own, common in zip(self.restore, private, shared, strict=True)]
        errors = [
            batch.mean((restored[i].float() - p.float()).square().mean(dim=-1), i) for i, p in enumerate(projected)
        ]
        return weighted(
            [
                Term("task", 1.0, self.task_loss(output, batch)),
                Term("difference", self.options.difference, batch.weigh(torch.stack(differences).sum())),
                Term("similarity", self.options.similarity, batch.weigh(similarity)),
                Term("reconstruction", self.options.reconstruction, torch.stack(errors).mean()),
            ]
        )

    def fuse(self, z: Sequence[torch.Tensor], batch: Batch) -> Fused:
        """Inference."""
        _, private, shared = self._codes(z)
        u = self._mix(private, shared, batch)
        return Fused(u, self.head(u, batch))

    def _codes(self, z: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """p_i, private and shared codes, each M x (B, h)."""
        projected = [projection(zi) for projection, zi in zip(self.projections, z, strict=True)]
        private = [torch.sigmoid(own(p)) for own, p in zip(self.private, projected, strict=True)]
        return projected, private, [torch.sigmoid(self.shared(p)) for p in projected]

    def _mix(self, private: Sequence[torch.Tensor], shared: Sequence[torch.Tensor], batch: Batch) -> torch.Tensor:
        """The 2 M codes, private ones first, to u (B, 2 M h)."""
        tokens = torch.stack([*private, *shared], dim=1)
        there = batch.keys([*range(len(private)), *range(len(shared))])
        mixed = transformer_layer(self.mixer, tokens, there, batch).unbind(dim=1)
        half = len(private)
        return torch.cat([*batch.fill_each(mixed[:half]), *batch.fill_each(mixed[half:])], dim=-1)


def transformer_layer(
    own: nn.TransformerEncoderLayer, tokens: torch.Tensor, there: torch.Tensor | None, batch: Batch
) -> torch.Tensor:
    """What torch's layer makes of tokens (B, T, h); of a part of a batch, with dropout that knows which rows it has.

    ``there`` (B, T) says which tokens are attended to; None for all.
    """
    result: torch.Tensor
    if batch.is_whole:
        result = own(tokens, src_key_padding_mask=None if there is None else ~there)
        return result

    def dropped(values: torch.Tensor) -> torch.Tensor:
        return batch.dropout(values, DROPOUT) if own.training else values

    mask = None if there is None else there[:, None, None]  # for all heads and queries
    attended = self_attention(own.self_attn, tokens, mask, batch)
    if own.training:  # torch has (T, B, h) in memory here, and draws a mask in the order of memory
        attended = batch.dropout(attended.transpose(0, 1), DROPOUT, dim=1).transpose(0, 1)
    attended = own.norm1(tokens + attended)
    result = own.norm2(attended + dropped(own.linear2(dropped(torch.relu(own.linear1(attended))))))
    return result


def cmd(x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Central moment discrepancy of (B, h) and (B, h) up to the fifth moment, over the rows (B,): a scalar.

    ||E x - E y|| + sum_k ||E (x - E x)^k - E (y - E y)^k||, powers and expectations by coordinate.
    """
    x, y = x.float(), y.float()
    mean_x, mean_y = mean_row(x, rows), mean_row(y, rows)
    moments = [mean_row((x - mean_x) ** k, rows) - mean_row((y - mean_y) ** k, rows) for k in range(2, MOMENTS + 1)]
    return torch.stack([_norm(gap) for gap in (mean_x - mean_y, *moments)]).sum()


def difference(x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Mean squared entry of X^T Y (h, h), rows centred over the batch, then of length 1 (a constant): a scalar.

    In float32 whatever the precision of the step: a sum over the batch of products that nearly cancel.
    """
    with torch.autocast(x.device.type, enabled=False):
        left, right = (_unit_rows(values.float(), rows) for values in (x, y))
        return (left.T @ right).square().mean()


def mean_row(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Mean (h,) of some rows (B,) of (B, h); 0 if there is none."""
    return (values * rows[:, None]).sum(dim=0) / rows.sum().clamp_min(1)


def _unit_rows(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    centred = values - mean_row(values, rows)
    unit: torch.Tensor = centred / (centred.norm(dim=-1, keepdim=True).detach() + 1e-6)
    return unit * rows[:, None]


def _norm(values: torch.Tensor) -> torch.Tensor:
    return (values.square().sum() + 1e-8).sqrt()
