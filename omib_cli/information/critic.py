"""The critic T(x, z) of Appendix E: a network that tells pairs of one sample from pairs of two.

Its first layer is linear in [x; z], so W [x; z] + b = (W_x x + b) + W_z z: the two projections of a batch are
computed once, and every pair made of its rows adds two of them. With 1000-dimensional inputs they are nearly the
whole cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

RANK = 64
"""Most factors (rows of P and Q) of the `bilinear` critic's product term."""


class Projected(NamedTuple):
    """What the first layer makes of each x and of each z of a batch, before any of them are paired.

    Attributes
    ----------
    x, z
        (B, H): W_x x + b and W_z z.
    left, right
        (B, R): the factors P x and Q z whose inner product the `bilinear` critic adds; None in the paper's.
    own
        (B,): what the `bilinear` critic adds for x alone; None in the paper's.
    """

    x: Tensor
    z: Tensor
    left: Tensor | None = None
    right: Tensor | None = None


class Critic(nn.Module):
    """T(x, z): an MLP with ReLU on [x; z] (Appendix E), to which `bilinear` adds <P x, Q z>.

    Parameters
    ----------
    dim_x, dim_z
        Widths of x and z.
    hidden
        Widths of the hidden layers; one makes the paper's two-layer network.
    bilinear
        Whether the product term is there: for Gaussian data the log-density ratio is a quadratic form, which a
        ReLU network has to piece together from thousands of samples.
    """

    def __init__(self, dim_x: int, dim_z: int, hidden: Sequence[int], bilinear: bool = False) -> None:
        super().__init__()
        first = nn.Linear(dim_x + dim_z, hidden[0])
        self.weight_x = nn.Parameter(first.weight[:, :dim_x].detach().clone())
        self.weight_z = nn.Parameter(first.weight[:, dim_x:].detach().clone())
        self.bias = nn.Parameter(first.bias.detach().clone())
        layers: list[nn.Module] = []
        for width, after in pairwise(hidden):
            layers += [nn.Linear(width, after), nn.ReLU()]
        self.rest = nn.Sequential(nn.ReLU(), *layers, nn.Linear(hidden[-1], 1))
        self.factor_x: nn.Parameter | None = None
        self.factor_z: nn.Parameter | None = None
        if bilinear:
            rank = min(dim_x, dim_z, RANK)
            self.factor_x = nn.Parameter(torch.randn(rank, dim_x) / dim_x**0.5)
            self.factor_z = nn.Parameter(torch.zeros(rank, dim_z))

    def project(self, x: Tensor, z: Tensor) -> Projected:
        """The first layer, for x (B, Dx) and z (B, Dz)."""
        linear = nn.functional.linear
        left, right = self.factor_x, self.factor_z
        return Projected(
            linear(x, self.weight_x, self.bias),
            linear(z, self.weight_z),
            None if left is None else linear(x, left),
            None if right is None else linear(z, right),
        )

    def pairs(self, batch: Projected, shifts: Iterable[int]) -> Tensor:
        """T(x_i, z_j) with j = (i + s) mod B, for each shift s from 0 to B - 1: (shifts, B).

        Shift 0 gives the joint pairs, x and z of one sample; every other shift gives B product pairs, x of one
        sample and z of another; all shifts together give each of the B x B pairs once.
        """
        # Equation 99 shuffles z to sample the product of the marginals. A random permutation leaves one sample on
        # average where it was, which is a joint pair among the product pairs and biases the value; a shift by s != 0
        # leaves none. That neighbours stay neighbours does no harm, since the rows come in random order.
        shifts = list(shifts)
        # Written twice in a row, z shifted by s is a window of it: a view, where indexing would copy B x H numbers.
        z = torch.cat([batch.z, batch.z])
        right = None if batch.right is None else torch.cat([batch.right, batch.right])
        count = len(batch.x)

        def score(shift: int) -> Tensor:
            found: Tensor = self.rest(batch.x + z[shift : shift + count]).squeeze(1)
            if right is not None:
                found = found + (cast("Tensor", batch.left) * right[shift : shift + count]).sum(1)
            return found

        if torch.is_grad_enabled():
            return torch.stack([score(shift) for shift in shifts])
        # Without gradients, up to 1,024 shifts of 10,000 rows: small results kept between large temporary arrays
        # would keep the allocator from giving those back, so the scores have their place from the start.
        scores = batch.x.new_empty(len(shifts), count)
        for row, shift in zip(scores, shifts, strict=True):
            row.copy_(score(shift))
        return scores

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """T(x_i, z_i) of the joint pairs: (B,)."""
        return self.pairs(self.project(x, z), [0])[0]
