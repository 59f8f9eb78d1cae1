"""Estimators: their equations on hand-made scores, and known truths on Gaussian data."""

from __future__ import annotations

import math

import pytest
import torch

from omib_cli.information import estimators
from omib_cli.information.estimators import critic_estimator, update_log_average
from omib_cli.information.gaussian import gaussian_information, plug_in_bias, true_information


def gaussians(dimensions, rho, samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(2, samples, dimensions, generator=generator)
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def log_ratio(x, z, rho):
    """ln p(x, z) / p(x) p(z) of correlated standard Gaussians."""
    quadratic = (rho**2 * (x**2 + z**2) - 2 * rho * x * z) / (2 * (1 - rho**2))
    return (-quadratic - 0.5 * math.log(1 - rho**2)).sum(-1)


def test_equations_on_hand_made_scores():
    joint, product = torch.tensor([1.0, 3.0]), torch.tensor([[0.0, math.log(3.0)]])
    assert float(estimators.donsker_varadhan(joint, product)) == pytest.approx(2 - math.log(2))
    assert float(estimators.nwj(joint, product)) == pytest.approx(2 - 2 / math.e)
    assert float(estimators.smile(joint, product, 0.5)) == pytest.approx(2 - math.log((1 + math.exp(0.5)) / 2))
    expected = (1 - math.log((math.e + 1) / 2) + 3 - math.log((math.e**3 + 3) / 2)) / 2
    assert float(estimators.infonce(joint, product)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["mine", "infonce", "nwj", "smile"])
def test_true_log_ratio_gives_the_truth(name):
    x, z = gaussians(1, 0.9, 4000)
    joint = log_ratio(x, z, 0.9)
    shift = 1.0 if name == "nwj" else 0.0  # NWJ's optimal critic is the log-ratio plus one
    product = torch.stack([log_ratio(x, z.roll(-s, 0), 0.9) for s in range(1, 200)])
    value = critic_estimator(name, 10.0).value(joint + shift, product + shift)
    assert float(value) == pytest.approx(true_information(1, 0.9), abs=0.06)


def test_infonce_never_exceeds_the_logarithm_of_its_candidates():
    for size in (2, 64, 512):
        perfect = estimators.infonce(torch.full((size,), 1e4), torch.full((size - 1, size), -1e4))
        assert float(perfect) == pytest.approx(math.log(size), abs=1e-2)
        random = estimators.infonce(torch.randn(size) * 50, torch.randn(size - 1, size) * 50)
        assert float(random) <= math.log(size) + 1e-4


def test_moving_average_in_log_space_equals_the_plain_one():
    batches = [torch.randn(1, 8) for _ in range(5)]
    plain = float(batches[0].exp().mean())
    log_average = None
    for batch in batches:
        plain = 0.9 * plain + 0.1 * float(batch.exp().mean()) if log_average is not None else plain
        log_average = update_log_average(log_average, batch, 0.1)
    assert log_average == pytest.approx(math.log(plain), rel=1e-5)


def test_moving_average_survives_scores_whose_exponential_does_not():
    log_average = update_log_average(None, torch.full((1, 4), 500.0), 0.01)
    log_average = update_log_average(log_average, torch.full((1, 4), 900.0), 0.01)
    assert log_average == pytest.approx(900 + math.log(0.01), abs=1e-3)
    loss = estimators.mine_loss(torch.zeros(4), torch.full((1, 4), 890.0), log_average)
    assert math.isfinite(float(loss))


def test_mine_gradient_is_that_of_donsker_varadhan_when_the_average_is_the_batch():
    scores = torch.randn(2, 50, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(-estimators.donsker_varadhan(scores[0], scores[1:]), scores)
    log_average = update_log_average(None, scores[1:], 0.01)
    (found,) = torch.autograd.grad(estimators.mine_loss(scores[0], scores[1:], log_average), scores)
    assert torch.allclose(found, expected)


@pytest.mark.parametrize(("dimensions", "rho"), [(1, 0.5), (5, 0.9), (20, 0.5), (20, 0.9)])
def test_gaussian_closed_form_finds_the_truth(dimensions, rho):
    found = gaussian_information(*gaussians(dimensions, rho, 10_000))
    assert found == pytest.approx(true_information(dimensions, rho), abs=0.12)


def test_gaussian_correction_removes_the_bias_of_many_dimensions():
    found = [gaussian_information(*gaussians(40, 0.0, 200, seed)) for seed in range(20)]
    assert plug_in_bias(200, 40, 40) > 4.0  # what a plain plug-in value would claim of independent variables
    assert abs(sum(found) / 20) < 0.15


def test_gaussian_correction_is_exact_for_a_handful_of_samples():
    generator = torch.Generator().manual_seed(0)
    both = torch.randn(20_000, 9, 5, generator=generator, dtype=torch.float64)
    centred = both - both.mean(dim=1, keepdim=True)
    cov = centred.mT @ centred
    plain = 0.5 * (torch.logdet(cov[:, :3, :3]) + torch.logdet(cov[:, 3:, 3:]) - torch.logdet(cov))
    assert plug_in_bias(9, 3, 2) == pytest.approx(float(plain.mean()), abs=0.02)


def test_gaussian_information_is_finite_while_samples_outnumber_dimensions():
    x, _ = gaussians(24, 0.0, 50)
    z, more = torch.randn(2, 50, 25, generator=torch.Generator().manual_seed(1))
    assert math.isfinite(gaussian_information(x, z[:, :24]))
    assert gaussian_information(x, z) == math.inf
    assert gaussian_information(torch.cat([x, more], 1), z[:, :1]) == math.inf


def test_gaussian_is_invariant_under_linear_maps_and_redundant_columns():
    x, z = gaussians(3, 0.7, 2000)
    assert gaussian_information(x + 9.0, 1e-3 * z - 4.0) == pytest.approx(gaussian_information(x, z), abs=1e-4)
    mixed = x @ torch.tensor([[2.0, 1.0, 0.0, 2.0], [0.0, 1.0, 3.0, 0.0], [1.0, 0.0, 1.0, 1.0]])
    assert gaussian_information(mixed, z) == pytest.approx(gaussian_information(x, z), abs=1e-5)


def test_gaussian_information_of_a_copy_is_infinite():
    x, z = gaussians(3, 0.5, 500)
    assert gaussian_information(x, x) == math.inf
    assert gaussian_information(torch.cat([x, z[:, :1]], 1), z) == math.inf
    assert gaussian_information(*gaussians(30, 0.0, 50)) == math.inf  # as many dimensions as samples
