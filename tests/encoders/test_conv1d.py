"""The convolution along sequences: shapes, padding, and that it can learn by heart."""

from __future__ import annotations

import pytest
import torch
from batches import encoded
from pydantic import ValidationError

from omib_cli.encoders.conv1d import Conv1dEncoder
from omib_cli.recipe.encoders import Conv1dOptions


def sequences(lengths, width=5, longest=9):
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(len(lengths), longest, width + 1)
    for row, length in enumerate(lengths):
        x[row, :length, :-1] = torch.randn(length, width, generator=generator)
        x[row, :length, -1] = 1.0
    return x


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_it_maps_sequences_to_encodings_and_has_the_parameters_it_states(layers, kernel):
    encoder = Conv1dEncoder(Conv1dOptions(width=7, layers=layers, kernel=kernel), (9, 6))
    assert encoded(encoder, sequences([9, 1, 4])).shape == (3, 7)
    count = sum(p.numel() for p in encoder.parameters())
    assert count == 5 * 7 * kernel + 7 + (layers - 1) * (7 * 7 * kernel + 7)


def test_one_layer_is_the_convolution_and_mean_by_hand():
    encoder = Conv1dEncoder(Conv1dOptions(width=7), (9, 6))
    x = sequences([4])
    own = torch.relu(encoder.layers[0](x[:, :4, :-1].transpose(1, 2)))
    torch.testing.assert_close(encoded(encoder, x), own.mean(dim=2))


@pytest.mark.parametrize("layers", [1, 3])
def test_an_encoding_does_not_depend_on_the_padding(layers):
    encoder = Conv1dEncoder(Conv1dOptions(width=7, layers=layers), (9, 6))
    x = sequences([4, 2])
    torch.testing.assert_close(encoded(encoder, x), encoded(encoder, x[:, :4]))


def test_a_missing_sequence_has_a_finite_encoding():
    encoder = Conv1dEncoder(Conv1dOptions(width=7), (9, 6))
    assert torch.equal(encoded(encoder, torch.zeros(2, 9, 6)), torch.zeros(2, 7))


def test_one_class_training_gets_a_last_layer_without_bias():
    encoder = Conv1dEncoder(Conv1dOptions(width=7, layers=2), (9, 6), bias=False)
    assert [layer.bias is None for layer in encoder.layers] == [False, True]


def test_an_even_kernel_is_refused():
    with pytest.raises(ValidationError, match="odd"):
        Conv1dOptions(kernel=4)


def test_it_learns_a_few_random_targets_by_heart():
    torch.manual_seed(0)
    encoder = Conv1dEncoder(Conv1dOptions(width=32, layers=2), (9, 6))
    head = torch.nn.Linear(32, 1)
    x, target = sequences([9, 3, 5, 1, 7, 2, 4, 6]), torch.randn(8, 1)
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=0.01)
    for _ in range(300):
        loss = (head(encoded(encoder, x)) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.01
