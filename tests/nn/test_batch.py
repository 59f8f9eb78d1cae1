"""A batch: means of its parts add up, random numbers are those of the whole, whoever has which rows."""

from __future__ import annotations

import pytest
import torch
from batches import parts_of, whole
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from omib_cli.nn.attention import attention
from omib_cli.nn.batch import Batch
from omib_cli.nn.foreign import DropoutOf
from omib_cli.nn.layers import Dropout

ROWS, SIZES = 11, (4, 1, 6)


def gappy() -> Batch:
    """Eleven samples of three modalities; the second part lacks the third modality, nobody in the first the second."""
    present = torch.rand(ROWS, 3, generator=torch.Generator().manual_seed(0)) > 0.4
    present[:4, 1], present[4] = False, torch.tensor([True, True, False])
    return Batch.of(torch.arange(ROWS).float(), present)


def rows_of(values: torch.Tensor) -> list[torch.Tensor]:
    return list(values.split(SIZES))


@pytest.mark.parametrize("of", [(), (0,), (1,), (2,), (0, 1), (1, 2)])
def test_a_mean_is_over_those_that_have_it_and_its_parts_add_up(of):
    batch, values = gappy(), torch.randn(ROWS)
    there = torch.ones(ROWS, dtype=torch.bool) if not of else batch.present[:, list(of)].all(dim=1)
    expected = values[there].mean()
    torch.testing.assert_close(batch.mean(values, *of), expected)
    parts = zip(parts_of(batch, *SIZES), rows_of(values), strict=True)
    torch.testing.assert_close(sum(part.mean(own, *of) for part, own in parts), expected)


def test_means_of_every_modality_at_once_are_those_of_each():
    batch, values = gappy(), torch.randn(3, ROWS)
    torch.testing.assert_close(batch.means(values), torch.stack([batch.mean(values[i], i) for i in range(3)]))


def test_nobody_has_a_mean_of_nothing():
    batch = Batch.of(torch.zeros(3), torch.tensor([[True, False]] * 3))
    assert batch.mean(torch.ones(3), 1).item() == 0.0
    assert batch.means(torch.ones(2, 3)).tolist() == [1.0, 0.0]


def test_values_of_rows_as_a_whole_weigh_as_much_as_the_rows():
    parts = parts_of(gappy(), *SIZES)
    torch.testing.assert_close(sum(part.weigh(torch.tensor(2.0)) for part in parts), torch.tensor(2.0))


def test_a_stand_in_adds_nothing_and_gets_no_gradient():
    batch = gappy().stand_in()
    values = torch.randn(ROWS, requires_grad=True)
    means = [batch.mean(values), batch.mean(values, 0), batch.means(values.expand(3, -1)).sum()]
    total = sum([*means, batch.weigh(values.sum())])
    total.backward()
    assert total.item() == 0.0
    assert values.grad.abs().max() == 0.0


def test_random_numbers_of_the_parts_are_the_wholes():
    batch = gappy()

    def drawn(part: Batch, rows: int) -> list[torch.Tensor]:
        torch.manual_seed(5)
        return [
            part.randn(torch.empty(rows, 3)),
            part.dropout(torch.ones(2 * rows, 3), 0.5),  # two consecutive rows for each sample
            part.draw(torch.rand, (2, rows), dim=1).T,
        ]

    every = drawn(batch, ROWS)
    parts = [drawn(part, len(part)) for part in parts_of(batch, *SIZES)]
    for k, expected in enumerate(every):
        assert torch.equal(torch.cat([part[k] for part in parts]), expected)


def test_a_whole_batch_draws_what_torch_would():
    torch.manual_seed(1)
    normal, dropped = gappy().randn(torch.empty(ROWS, 2)), gappy().dropout(torch.ones(ROWS, 4), 0.3)
    torch.manual_seed(1)
    assert torch.equal(normal, torch.randn(ROWS, 2))
    assert torch.equal(dropped, F.dropout(torch.ones(ROWS, 4), 0.3))


def test_dropout_does_nothing_outside_training():
    layer, values = Dropout(0.5), torch.randn(7, 3)
    assert torch.equal(layer.eval()(values, whole(values)), values)
    assert not torch.equal(layer.train()(values, whole(values)), values)


def test_values_that_are_no_rows_of_samples_have_a_mask_of_their_own_in_each_part():
    masks = []
    for part in parts_of(gappy(), 5, 6):
        torch.manual_seed(0)
        masks += [part.dropout_elsewhere(torch.ones(500), 0.5) for _ in range(2)]
    kept = [mask > 0 for mask in masks]
    for i in range(4):
        for j in range(i):
            assert 0.4 < (kept[i] == kept[j]).float().mean() < 0.6  # two layers, two parts: all of them independent
    assert all(mask[mask > 0].unique().tolist() == [2.0] for mask in masks)


def test_attention_with_dropout_gives_a_sample_the_same_in_whichever_part_it_is():
    q, k, v = torch.randn(3, ROWS, 2, 4, 5)
    batch, mask = gappy(), torch.rand(ROWS, 1, 1, 4) > 0.3
    mask[..., 0] = True

    def attended(part: Batch, rows: slice) -> torch.Tensor:
        torch.manual_seed(2)
        return attention(q[rows], k[rows], v[rows], mask[rows], 0.4, part)

    parts = [attended(part, slice(part.rows.start, part.rows.stop)) for part in parts_of(batch, *SIZES)]
    torch.testing.assert_close(torch.cat(parts), attended(batch, slice(None)))


def test_networks_of_other_libraries_draw_their_dropout_from_the_batch():
    torch.manual_seed(0)
    x = torch.randn(ROWS, 3, 8)

    def network(rows: torch.Tensor) -> torch.Tensor:
        hidden = torch.nn.Dropout(0.5)(rows)
        return F.scaled_dot_product_attention(hidden, hidden, hidden, dropout_p=0.5)

    torch.manual_seed(4)
    expected = network(x)
    found = []
    for part in parts_of(gappy(), *SIZES):
        torch.manual_seed(4)
        with DropoutOf(part):
            found.append(network(x[part.rows.start : part.rows.stop]))
    torch.testing.assert_close(torch.cat(found), expected)
