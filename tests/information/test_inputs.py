"""What stands for a modality: which rows, which columns, and nothing of samples that lack it."""

from __future__ import annotations

import pytest
import torch

from omib_cli.information.inputs import chosen_rows, pair_rows, principal_components, standardised
from omib_cli.recipe.information import InformationOptions

EVERYWHERE = torch.ones(60, dtype=torch.bool)


def test_rows_are_drawn_from_the_seed_once_each_and_stay_in_order():
    found = chosen_rows(1000, 100, 3)
    assert len(found) == 100
    assert found.tolist() == sorted(set(found.tolist()))
    assert not torch.equal(found, chosen_rows(1000, 100, 4))
    assert torch.equal(found, chosen_rows(1000, 100, 3))
    assert chosen_rows(100, 100, 3).tolist() == list(range(100))


def test_principal_components_are_those_of_largest_variance_in_order():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(500, 3, generator=generator) * torch.tensor([1.0, 9.0, 3.0])
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    found = principal_components(hidden @ rotation + 5.0, 2)
    assert found.shape == (500, 2)
    assert torch.allclose(found.mean(0), torch.zeros(2), atol=1e-4)
    for component, column in ((0, 1), (1, 2)):
        joined = torch.corrcoef(torch.stack([found[:, component], hidden[:, column]]))
        assert abs(float(joined[0, 1])) > 0.99
    assert torch.allclose(principal_components(-(hidden @ rotation), 2).abs(), found.abs(), atol=1e-3)


def test_samples_without_the_modality_do_not_enter_its_scale():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(60, 3, generator=generator) * 4 + 2
    present = torch.arange(60) % 3 != 0
    values[~present] = 1e6
    found = standardised(values, present, "raw", InformationOptions(), 0)
    assert torch.allclose(found.values[present].mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(found.values[present].var(0, correction=0), torch.ones(3), atol=1e-5)
    assert bool((found.values[~present] == 0).all())


@pytest.mark.parametrize("lacking", [0, 7])
def test_a_pair_takes_the_samples_that_have_both_row_by_row(lacking):
    values = torch.arange(60.0)[:, None]
    left, right = EVERYWHERE.clone(), EVERYWHERE.clone()
    left[:lacking], right[-lacking or 60 :] = False, False
    options = InformationOptions()
    x, z = pair_rows(standardised(values, left, "raw", options, 0), standardised(values, right, "raw", options, 0))
    assert len(x) == len(z) == 60 - 2 * lacking
    order_x, order_z = x[:, 0].diff(), z[:, 0].diff()
    assert bool((order_x > 0).all())
    assert torch.allclose(order_x, order_x[0].expand(len(order_x)), atol=1e-4)
    assert torch.allclose(order_z, order_z[0].expand(len(order_z)), atol=1e-4)
