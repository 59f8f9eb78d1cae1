"""Nodes of a graph with as much of the graph around them as an encoder of two layers can see."""

from __future__ import annotations

from dataclasses import dataclass

import torch

HOPS = 2
"""How far a target sees: the number of layers of a graph encoder."""


@dataclass(frozen=True)
class Neighbourhood:
    """The targets of a batch among the nodes within ``HOPS`` of them.

    Attributes
    ----------
    values
        (N, D) features of the nodes.
    neighbours
        (N, K) positions of each node's neighbours among the nodes, -1 where there is none, or none within reach.
    degree
        (N,) number of neighbours in the whole graph.
    targets
        (B,) positions of the batch's samples among the nodes.
    """

    values: torch.Tensor
    neighbours: torch.Tensor
    degree: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def of(cls, values: torch.Tensor, neighbours: torch.Tensor) -> Neighbourhood:
        """A whole graph, (N, D) and (N, K), with every node a target."""
        return cls(values, neighbours, (neighbours >= 0).sum(dim=1), torch.arange(len(values), device=values.device))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def shape(self) -> tuple[int, int]:
        """(B, D), as of a tensor of the targets' features."""
        return len(self.targets), self.values.shape[1]

    def __getitem__(self, index: torch.Tensor | slice) -> Neighbourhood:
        """The targets at ``index`` with what is within reach of them; values of other nodes are left out."""
        chosen = self.targets[index]
        nodes = torch.unique(chosen)
        for _ in range(HOPS):
            around = self.neighbours[nodes].flatten()
            nodes = torch.unique(torch.cat([nodes, around[around >= 0]]))
        place = torch.full((len(self.values) + 1,), -1, dtype=torch.long, device=nodes.device)
        place[nodes] = torch.arange(len(nodes), device=nodes.device)
        neighbours = place[self.neighbours[nodes]]  # -1 looks at the extra last place, which holds -1
        return Neighbourhood(self.values[nodes], neighbours, self.degree[nodes], place[chosen])

    def to(self, device: torch.device, non_blocking: bool = False) -> Neighbourhood:
        """The same on a device, as of a tensor."""
        parts = (self.values, self.neighbours, self.degree, self.targets)
        return Neighbourhood(*(part.to(device, non_blocking=non_blocking) for part in parts))
