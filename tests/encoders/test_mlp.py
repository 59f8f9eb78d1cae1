"""The multilayer perceptron: shapes, linearity, and that it can learn by heart."""

from __future__ import annotations

import pytest
import torch
from batches import encoded

from omib_cli.encoders.mlp import MlpEncoder
from omib_cli.recipe.encoders import MlpOptions


@pytest.mark.parametrize("hidden", [[], [16], [16, 12]])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_it_maps_vectors_to_encodings_of_the_width_asked_for(hidden, norm):
    encoder = MlpEncoder(MlpOptions(hidden=hidden, width=5, norm=norm, dropout=0.1), (7,))
    assert encoded(encoder, torch.randn(3, 7)).shape == (3, 5)
    assert encoded(encoder, torch.randn(1, 7)).shape == (1, 5)


def test_without_hidden_layers_it_is_linear():
    encoder = MlpEncoder(MlpOptions(hidden=[], width=5), (7,)).eval()
    x, y, zero = torch.randn(1, 7), torch.randn(1, 7), torch.zeros(1, 7)
    torch.testing.assert_close(
        encoded(encoder, x + y) - encoded(encoder, y),
        encoded(encoder, x) - encoded(encoder, zero),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_papers_encoder_has_two_layers_256_wide():
    parameters = sum(p.numel() for p in MlpEncoder(MlpOptions(), (1000,)).parameters())
    assert parameters == 1000 * 256 + 256 + 256 * 256 + 256


def test_output_activation_keeps_encodings_at_or_above_zero():
    encoder = MlpEncoder(MlpOptions(hidden=[], width=5, activation="relu", output_activation=True), (7,))
    assert (encoded(encoder, torch.randn(50, 7)) >= 0).all()


def test_it_learns_a_few_random_targets_by_heart():
    torch.manual_seed(0)
    encoder = MlpEncoder(MlpOptions(hidden=[32], width=2), (6,))
    x, target = torch.randn(16, 6), torch.randn(16, 2)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=0.02)
    for _ in range(400):
        loss = (encoded(encoder, x) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.01


def test_dropout_acts_in_training_only():
    encoder = MlpEncoder(MlpOptions(hidden=[], width=5, input_dropout=0.5), (7,))
    x = torch.randn(4, 7)
    assert not torch.equal(encoded(encoder, x), encoded(encoder, x))
    encoder.eval()
    assert torch.equal(encoded(encoder, x), encoded(encoder, x))
