"""A two-layer graph convolutional network on spots and their neighbours (Appendix H; Kipf and Welling 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from omib_cli.encoders.base import Encoder
from omib_cli.encoders.neighbourhood import Neighbourhood
from omib_cli.nn.batch import Batch
from omib_cli.recipe.encoders import GcnOptions

SLOPE = 0.2


class GcnEncoder(Encoder):
    """A neighbourhood of B spots to (B, d): z = A H W2, H = dropout(LeakyReLU(norm(A X W1))).

    A = D^-1/2 (A0 + I) D^-1/2 with the degrees D of the whole graph, so that a spot has the same encoding whichever
    batch it comes in. Parameters with D genes: D x hidden + hidden x d, and 3 hidden + d in biases and norm, which
    one-class training leaves out; 3000 -> 512 -> 256 has 1,668,864.
    """

    kinds = ("graph",)

    def __init__(
        self,
        options: GcnOptions,
        shape: tuple[int, ...],
        config: Mapping[str, Any] | None = None,
        bias: bool = True,
    ) -> None:
        from torch_geometric.nn import GCNConv

        super().__init__(options, shape, config, bias)
        self.first = GCNConv(shape[0], options.hidden, normalize=False, add_self_loops=False, bias=bias)
        self.second = GCNConv(options.hidden, options.width, normalize=False, add_self_loops=False, bias=bias)
        norm = nn.LayerNorm(options.hidden, elementwise_affine=bias) if options.norm == "layer" else nn.Identity()
        self.between = nn.Sequential(norm, nn.LeakyReLU(SLOPE))
        self.dropout = options.dropout

    def forward(self, x: Neighbourhood, batch: Batch) -> torch.Tensor:
        """The targets' encodings (B, d)."""
        edges, weights = normalised_edges(x)
        hidden = self.between(self.first(x.values, edges, weights))
        if self.training and self.dropout > 0.0:
            hidden = batch.dropout_elsewhere(hidden, self.dropout)  # nodes, of which some are no samples
        encoding: torch.Tensor = self.second(hidden, edges, weights)[x.targets]
        return encoding


def normalised_edges(x: Neighbourhood) -> tuple[torch.Tensor, torch.Tensor]:
    """Edges (2, E) from neighbour to node, self-loops among them, and their weights (E,) in A.

    Nodes at the rim of a neighbourhood lack some of theirs; no target is near enough to notice.
    """
    nodes = torch.arange(len(x.values), device=x.values.device)
    there = x.neighbours >= 0
    to = nodes.unsqueeze(1).expand_as(x.neighbours)[there]
    edges = torch.stack([torch.cat([x.neighbours[there], nodes]), torch.cat([to, nodes])])
    root = (x.degree + 1).to(x.values.dtype).rsqrt()
    return edges, root[edges[0]] * root[edges[1]]
