"""The graph encoder: a batch's encodings are the whole graph's, and it can learn."""

from __future__ import annotations

import pytest
import torch
from batches import encoded

from omib_cli.encoders.gcn import GcnEncoder
from omib_cli.encoders.neighbourhood import Neighbourhood
from omib_cli.recipe.encoders import GcnOptions

GENES = 7


def grid(side: int = 9, seed: int = 0) -> Neighbourhood:
    """A square grid whose spots are joined with those beside them, -1 at the edge, and a spot without neighbours."""
    at = torch.arange(side * side).reshape(side, side)
    padded = torch.nn.functional.pad(at, (1, 1, 1, 1), value=-1)
    near = torch.stack([padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]], dim=-1)
    near = torch.cat([near.reshape(-1, 4), torch.full((1, 4), -1)])
    values = torch.randn(len(near), GENES, generator=torch.Generator().manual_seed(seed))
    return Neighbourhood.of(values, near)


def encoder(bias: bool = True, **options) -> GcnEncoder:
    torch.manual_seed(0)
    return GcnEncoder(GcnOptions(hidden=16, width=5, **options), (GENES,), None, bias).eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("targets", [[0], [40, 3, 81], [80, 80, 1], list(range(20, 60))])
def test_a_batch_has_the_encodings_of_the_whole_graph(targets, bias):
    graph, network = grid(), encoder(bias)
    index = torch.tensor(targets)
    assert len(graph[index].values) < len(graph.values)
    torch.testing.assert_close(encoded(network, graph[index]), encoded(network, graph)[index], atol=1e-5, rtol=0)


def test_a_batch_of_a_batch_has_them_too():
    graph, network = grid(), encoder()
    batch = graph[torch.tensor([5, 44, 60, 2])]
    torch.testing.assert_close(
        encoded(network, batch[slice(1, 3)]),
        encoded(network, graph)[[44, 60]],
        atol=1e-5,
        rtol=0,
    )


def test_the_encoding_is_the_formula_of_kipf_and_welling():
    graph, network = grid(side=4), encoder()
    count = len(graph.values)
    adjacency = torch.eye(count)
    for node, near in enumerate(graph.neighbours.tolist()):
        adjacency[node, [one for one in near if one >= 0]] = 1
    root = adjacency.sum(dim=1).rsqrt()
    a = root[:, None] * adjacency * root[None, :]
    hidden = a @ graph.values @ network.first.lin.weight.T + network.first.bias
    hidden = torch.nn.functional.leaky_relu(network.between[0](hidden), 0.2)
    expected = a @ hidden @ network.second.lin.weight.T + network.second.bias
    torch.testing.assert_close(encoded(network, graph), expected, atol=1e-5, rtol=0)


def test_the_order_of_spots_does_not_matter():
    graph, network = grid(), encoder()
    order = torch.randperm(len(graph.values), generator=torch.Generator().manual_seed(1))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    near = graph.neighbours[order]
    shuffled = Neighbourhood.of(graph.values[order], torch.where(near < 0, near, place[near]))
    torch.testing.assert_close(encoded(network, shuffled), encoded(network, graph)[order], atol=1e-5, rtol=0)


def test_a_spot_sees_two_steps_far_and_no_further():
    graph, network = grid(), encoder()
    for steps, changes in ((2, True), (3, False)):
        values = graph.values.clone()
        values[40 + steps] += 1  # on the row of spot 40
        other = Neighbourhood.of(values, graph.neighbours)
        assert bool((encoded(network, other)[40] != encoded(network, graph)[40]).any()) is changes


def test_it_learns_a_few_labels_by_heart():
    graph = grid()
    torch.manual_seed(0)
    network = GcnEncoder(GcnOptions(hidden=64, width=3, dropout=0.0), (GENES,))
    labels = torch.randint(0, 3, (12,), generator=torch.Generator().manual_seed(2))
    batch = graph[torch.arange(0, 72, 6)]
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(encoded(network, batch), labels)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05


def test_it_has_the_parameters_that_it_says():
    network = GcnEncoder(GcnOptions(), (3000,))
    assert sum(one.numel() for one in network.parameters()) == 1_668_864


def test_without_bias_nothing_in_it_is_constant():
    network = encoder(bias=False)
    assert [name for name, _ in network.named_parameters()] == ["first.lin.weight", "second.lin.weight"]
    silent = Neighbourhood.of(torch.zeros(3, GENES), torch.full((3, 1), -1))
    assert not encoded(network, silent).any()
