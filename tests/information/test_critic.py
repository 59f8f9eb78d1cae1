"""The critic's shared first layer is the plain MLP on [x; z]."""

from __future__ import annotations

import pytest
import torch

from omib_cli.information.critic import Critic


def concatenated(critic, x, z):
    """T on [x; z] with the first layer as one matrix, as Appendix E describes the network."""
    weight = torch.cat([critic.weight_x, critic.weight_z], dim=1)
    score = critic.rest(torch.cat([x, z], dim=1) @ weight.T + critic.bias).squeeze(1)
    if critic.factor_x is not None:
        score = score + ((x @ critic.factor_x.T) * (z @ critic.factor_z.T)).sum(1)
    return score


@pytest.mark.parametrize("hidden", [[16], [16, 8]])
@pytest.mark.parametrize("bilinear", [False, True])
def test_shared_projections_equal_the_concatenated_network(hidden, bilinear):
    torch.manual_seed(0)
    critic = Critic(5, 3, hidden, bilinear).double()
    if bilinear:
        torch.nn.init.normal_(critic.factor_z)
    x, z = torch.randn(7, 5).double(), torch.randn(7, 3).double()
    scores = critic.pairs(critic.project(x, z), range(7))
    for shift in range(7):
        assert torch.allclose(scores[shift], concatenated(critic, x, z.roll(-shift, 0)), atol=1e-12)
    assert torch.allclose(critic(x, z), scores[0])


def test_gradients_equal_those_of_the_concatenated_network():
    torch.manual_seed(0)
    critic = Critic(5, 3, [16]).double()
    x, z = torch.randn(7, 5).double(), torch.randn(7, 3).double()
    critic.pairs(critic.project(x, z), [0, 2]).exp().sum().backward()
    shared = {name: weight.grad.clone() for name, weight in critic.named_parameters()}
    critic.zero_grad()
    (concatenated(critic, x, z).exp().sum() + concatenated(critic, x, z.roll(-2, 0)).exp().sum()).backward()
    for name, weight in critic.named_parameters():
        assert torch.allclose(shared[name], weight.grad, atol=1e-10), name


def test_all_shifts_are_all_pairs_once():
    torch.manual_seed(0)
    critic = Critic(2, 2, [8])
    x, z = torch.randn(4, 2), torch.randn(4, 2)
    scores = critic.pairs(critic.project(x, z), range(4))
    table = torch.stack([critic(x[i].expand(4, 2), z) for i in range(4)])
    for shift in range(4):
        for i in range(4):
            assert torch.allclose(scores[shift, i], table[i, (i + shift) % 4], atol=1e-6)
