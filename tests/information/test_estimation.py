"""Estimates from samples: accuracy, honesty of the held-out value, exact continuation, refusals."""

from __future__ import annotations

import math

import pytest
import torch

from omib_cli.errors import DataError, NumericError
from omib_cli.information import estimation
from omib_cli.information.estimation import CriticTraining, MutualInformation, estimate, split_rows, standardise
from omib_cli.information.gaussian import true_information
from omib_cli.recipe.information import InformationOptions

QUICK = {"epochs": 6, "least_steps": 1, "hidden": [16], "batch": 64}


def gaussians(dimensions, rho, samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(2, samples, dimensions, generator=generator)
    return standardise(x), standardise(rho * x + math.sqrt(1 - rho**2) * noise)


def estimated(x, z, job, name="x|z", repetition=0, **options) -> MutualInformation:
    return estimate(x, z, InformationOptions(**options), seed=0, repetition=repetition, name=name, job=job)


def test_mine_is_within_ten_percent_of_the_truth_on_held_out_samples(job):
    x, z = gaussians(1, 0.9, 10_000)
    found = estimated(x, z, job, hidden=[64], epochs=30, least_steps=1, holdout=0.2)
    assert found.value == pytest.approx(true_information(1, 0.9), rel=0.1)
    assert found.samples == 2000


@pytest.mark.parametrize("estimator", ["mine", "infonce", "nwj", "smile"])
def test_independent_variables_share_nearly_nothing(estimator, job):
    x, z = gaussians(5, 0.0, 2000)
    assert estimated(x, z, job, estimator=estimator, **QUICK).value < 0.05


@pytest.mark.parametrize("estimator", ["infonce", "smile"])
def test_other_estimators_find_a_strong_relation(estimator, job):
    x, z = gaussians(1, 0.9, 4000)
    found = estimated(x, z, job, estimator=estimator, lr=5e-3, epochs=15, least_steps=1, hidden=[32], holdout=0.2)
    assert found.value == pytest.approx(true_information(1, 0.9), rel=0.2)


@pytest.mark.parametrize("critic", ["paper", "bilinear"])
def test_no_estimate_exceeds_the_logarithm_of_its_samples(critic, job):
    x, _ = gaussians(20, 0.0, 1000)
    found = estimated(x, x, job, name="x|copy", critic=critic, lr=1e-2, epochs=30, batch=64, hidden=[64])
    assert found.value <= found.limit == math.log(100)
    assert found.value > 2.0


def test_epoch_is_chosen_on_one_half_and_read_on_the_other():
    x, z = gaussians(2, 0.3, 400)
    options = InformationOptions(**{**QUICK, "lr": 0.02, "average": 0.0, "epochs": 12})
    training = CriticTraining(x, z, options, 0, 0, "x|z", torch.device("cpu"))
    while not training.finished:
        training.step()
    found = training.result()
    for half in (0, 1):
        scores = [values[half] for values in found.curve]
        assert found.epochs[half] == scores.index(max(scores))
    assert found.epochs[0] != found.epochs[1], "both halves chose the same epoch: this tests nothing"
    readings = []
    for half in (0, 1):
        training.average.load_state_dict(training.best[half]["weights"])
        readings.append(training._heldout_values(1023)[1 - half])
    assert found.raw == pytest.approx(sum(readings) / 2)


def test_repetitions_hold_out_different_rows():
    options = InformationOptions(holdout=0.25)
    held = [split_rows(100, options, 0, repetition, "x")[1] for repetition in range(4)]
    assert sorted(torch.cat(held).tolist()) == list(range(100))
    for repetition in range(4):
        fit, read = split_rows(100, options, 0, repetition, "x")
        assert not set(fit.tolist()) & set(read.tolist())


def test_heldout_samples_do_not_change_the_critic():
    x, z = gaussians(2, 0.5, 400)
    options = InformationOptions(**QUICK)
    _, held = split_rows(400, options, 0, 0, "x|z")
    other = z.clone()
    other[held] = torch.randn(len(held), 2)
    trained = []
    for values in (z, other):
        training = CriticTraining(x, values, options, 0, 0, "x|z", torch.device("cpu"))
        while not training.finished:
            training.step()
        trained.append(training.critic.state_dict())
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


@pytest.mark.parametrize("estimator", ["mine", "infonce"])
def test_restored_training_continues_bit_for_bit(estimator):
    x, z = gaussians(3, 0.6, 500)
    options = InformationOptions(estimator=estimator, **QUICK)

    def fresh():
        return CriticTraining(x, z, options, 1, 2, "x|z", torch.device("cpu"))

    whole = fresh()
    while not whole.finished:
        whole.step()
    half = fresh()
    for _ in range(whole.steps + 3):  # in mid-epoch
        half.step()
    resumed = fresh()
    resumed.restore(half.state())
    torch.randn(10)  # the state of torch's own generator must not matter
    while not resumed.finished:
        resumed.step()
    assert resumed.result().value == whole.result().value
    assert resumed.curve == whole.curve


def test_early_end_leaves_out_the_remaining_epochs(job):
    x, z = gaussians(3, 0.0, 300)
    found = estimated(x, z, job, patience=2, epochs=200, least_steps=1, hidden=[16], batch=32)
    assert len(found.curve) < 200
    assert len(found.curve) == max(found.epochs) + 3


def test_training_ends_once_the_limit_is_far_behind(job):
    x, _ = gaussians(200, 0.0, 1000)
    found = estimated(x, x, job, name="x|copy", epochs=100, batch=64, hidden=[64])
    assert min(found.curve[-1]) >= found.limit + 2
    assert all(min(values) < found.limit + 2 for values in found.curve[:-1])
    assert found.value == found.limit


def test_the_entropy_of_samples_that_all_differ_is_their_limit_without_a_critic(job):
    x, _ = gaussians(2, 0.0, 400)
    found = estimated(x, x, job, name="x", **QUICK)
    assert (found.value, found.raw, found.curve) == (math.log(40), None, [])
    few = estimated(x, x, job, name="x", estimator="infonce", holdout=0.5, **QUICK)
    assert few.value == few.limit == math.log(200)


def test_the_entropy_of_samples_that_repeat_is_estimated(job):
    x = standardise(torch.arange(400.0)[:, None] % 4)
    found = estimated(x, x, job, name="x", lr=0.02, epochs=20, least_steps=1, hidden=[32], batch=64)
    assert found.curve
    assert found.value == pytest.approx(math.log(4), abs=0.15)


def test_no_look_promises_more_than_a_trained_critic_finds(job):
    """Samples of which some repeat: what the look says of them is a lower bound, as any critic's value is."""
    x = torch.cat([torch.zeros(80, 1), torch.arange(1.0, 1921.0)[:, None]])  # ln p of equal pairs: -6.4; ln 200 = 5.3
    found = estimation.entropy_at_limit(standardise(x), InformationOptions(), 0, 0, "x")
    assert found is not None
    assert found.value == math.log(200)
    often = torch.cat([torch.zeros(400, 1), torch.arange(1.0, 1601.0)[:, None]])  # a fifth alike: -ln .04 = 3.2
    assert estimation.entropy_at_limit(standardise(often), InformationOptions(), 0, 0, "x") is None


def test_small_data_gets_more_epochs():
    x, z = gaussians(2, 0.5, 60)
    training = CriticTraining(x, z, InformationOptions(least_steps=400), 0, 0, "x|z", torch.device("cpu"))
    assert training.epochs * training.steps >= 400
    assert training.steps >= 4


def test_saturation_takes_the_logarithm_of_the_heldout_samples(job):
    x, z = gaussians(2, 0.0, 1000)
    assert estimated(x, z, job, estimator="saturation").value == math.log(100)


def test_gaussian_puts_the_logarithm_in_place_of_infinity(job):
    x, z = gaussians(2, 0.9, 1000)
    copy = estimated(x, x, job, estimator="gaussian")
    assert copy.raw is None
    assert copy.value == copy.limit == math.log(900)
    assert copy.samples == 900
    apart = [estimated(*gaussians(2, 0.0, 60, seed), job, estimator="gaussian") for seed in range(6)]
    assert {(each.samples, each.limit) for each in apart} == {(54, math.log(54))}
    assert [each.value for each in apart] == [max(each.raw, 0.0) for each in apart]
    assert min(each.raw for each in apart) < 0 < max(each.raw for each in apart) < 1
    assert estimated(x, z, job, estimator="gaussian").value == pytest.approx(true_information(2, 0.9), abs=0.15)


def test_too_few_samples_are_refused(job):
    x, z = gaussians(2, 0.5, 15)
    with pytest.raises(DataError, match="too few training samples"):
        estimated(x, z, job)


def test_sixteen_samples_are_enough_to_run(job):
    x, z = gaussians(2, 0.5, 16)
    assert 0.0 <= estimated(x, z, job, **QUICK).value <= math.log(4)


def test_divergence_names_estimator_pair_repetition_and_step(job):
    x, z = gaussians(2, 0.5, 300)
    x = x.clone()
    x[:] = math.nan
    with pytest.raises(NumericError) as error:
        estimated(x, z, job, name="rna|dna", repetition=1, **QUICK)
    message = str(error.value)
    for part in ("mine", "rna|dna", "repetition 2", "epoch 0", "step"):
        assert part in message


def test_standardise_keeps_constant_columns_at_zero():
    values = torch.randn(50, 2) * 5 + 3
    values[:, 1] = 0.1
    found = standardise(values)
    assert torch.allclose(found[:, 0].std(correction=0), torch.tensor(1.0))
    assert bool((found[:, 1] == 0).all())


def recorded_shifts(network):
    """The list to which every call of a critic's ``pairs`` will add its shifts and its number of rows."""
    found, pairs = [], network.pairs

    def recording(batch, shifts):
        found.append((list(shifts), len(batch.x)))
        return pairs(batch, shifts)

    network.pairs = recording
    return found


@pytest.mark.parametrize(("estimator", "partners"), [("mine", None), ("infonce", None), ("nwj", 1), ("smile", 1000)])
def test_no_joint_pair_is_among_the_product_pairs(estimator, partners):
    x, z = gaussians(1, 0.5, 120)
    options = {**QUICK, "batch": 16, "epochs": 8, "holdout": 0.5, "partners": partners, "estimator": estimator}
    training = CriticTraining(x, z, InformationOptions(**options), 0, 0, "x|z", torch.device("cpu"))
    fitted, read = recorded_shifts(training.critic), recorded_shifts(training.average)
    while not training.finished:
        training.step()
    training.result()
    for shifts, rows in fitted + read:
        assert shifts[0] == 0
        assert set(shifts[1:]) <= set(range(1, rows)), "a shift by 0 or by all rows pairs each x with its own z"
        assert len(set(shifts)) == len(shifts) > 1
    if estimator == "mine":
        assert {shift for shifts, _ in fitted for shift in shifts} == set(range(training.batch)), (
            "some product pairs are never met"
        )


def test_some_partners_of_many_are_spread_over_all_heldout_samples():
    x, z = gaussians(1, 0.5, 400)
    options = InformationOptions(**{**QUICK, "holdout": 0.5, "epochs": 1})
    training = CriticTraining(x, z, options, 0, 0, "x|z", torch.device("cpu"))
    read = recorded_shifts(training.average)
    while not training.finished:
        training.step()
    shifts, rows = read[0]
    assert (len(shifts), rows) == (17, 200)
    assert max(shifts) > 0.9 * rows


def test_a_value_below_zero_is_zero_and_kept_unclipped():
    x, z = gaussians(5, 0.0, 100)
    training = CriticTraining(x, z, InformationOptions(**{**QUICK, "lr": 0.05}), 0, 0, "x|z", torch.device("cpu"))
    while not training.finished:
        training.step()
    found = training.result()
    assert found.raw < 0.0
    assert found.value == 0.0


def test_the_averaged_weights_are_read_not_the_last_ones():
    x, z = gaussians(2, 0.5, 300)
    training = CriticTraining(x, z, InformationOptions(**QUICK), 0, 0, "x|z", torch.device("cpu"))
    for _ in range(training.steps - 1):
        training.step()
    before = [weight.clone() for weight in training.average.parameters()]
    training.step()
    count = training.steps
    for weight, old, new in zip(training.average.parameters(), before, training.critic.parameters(), strict=True):
        decay = count / (count + 9)
        assert torch.allclose(weight, decay * old + (1 - decay) * new, atol=1e-6)
    training.critic.pairs = None  # a reading that asks the last weights fails
    assert training._heldout_values(16) == training.curve[0]


def test_every_draw_depends_on_seed_repetition_name_and_estimator():
    x, z = gaussians(2, 0.5, 200)

    def first_step(seed=0, repetition=0, name="x|z", estimator="mine"):
        options = InformationOptions(estimator=estimator, **QUICK)
        training = CriticTraining(x, z, options, seed, repetition, name, torch.device("cpu"))
        weights = training.critic.weight_x.clone()
        return weights, training._rows(0), split_rows(200, options, seed, repetition, name)[1]

    weights, order, held = first_step()
    for changed in ({"seed": 1}, {"repetition": 1}, {"name": "x|w"}, {"estimator": "nwj"}):
        others = first_step(**changed)
        assert not torch.equal(others[0], weights), changed
        assert not torch.equal(others[1], order), changed
        if "estimator" not in changed:  # estimators are compared on the same samples
            assert not torch.equal(others[2], held), changed
    assert all(torch.equal(one, other) for one, other in zip(first_step(), (weights, order, held), strict=True))


def test_epochs_are_shuffled_anew_and_use_every_row():
    x, z = gaussians(2, 0.5, 200)
    training = CriticTraining(x, z, InformationOptions(**QUICK), 0, 0, "x|z", torch.device("cpu"))
    first, second = training._rows(0).clone(), training._rows(1).clone()
    assert not torch.equal(first, second)
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(180))


@pytest.mark.parametrize(("lr", "weight_decay"), [(1e-3, 0.0), (1e-2, 0.5)])
def test_the_critic_is_trained_by_adamw_with_the_recipes_rate_and_decay(lr, weight_decay):
    x, z = gaussians(2, 0.5, 200)
    options = InformationOptions(**QUICK, lr=lr, weight_decay=weight_decay)
    training = CriticTraining(x, z, options, 0, 0, "x|z", torch.device("cpu"))
    before = training.critic.weight_z.detach().clone()
    training.step()
    moved = (training.critic.weight_z - before * (1 - lr * weight_decay)).abs()
    assert torch.allclose(moved[training.critic.weight_z.grad.abs() > 1e-5], torch.tensor(lr), rtol=1e-2)


def test_most_evaluation_samples_are_respected():
    fit, read = split_rows(1000, InformationOptions(holdout=0.5, evaluation_samples=40), 0, 0, "x")
    assert (len(fit), len(read)) == (960, 40)


def test_infonces_limit_is_what_a_perfect_critic_reaches():
    x, _ = gaussians(1, 0.0, 4400)
    options = {**QUICK, "epochs": 1, "holdout": 0.5}
    limits = {}
    for estimator in ("mine", "infonce"):
        training = CriticTraining(
            x, x, InformationOptions(estimator=estimator, **options), 0, 0, "x", torch.device("cpu")
        )
        limits[estimator] = training.limit
    read = recorded_shifts(training.average)
    training._heldout_values(1023)
    assert limits == {"mine": math.log(2200), "infonce": math.log(len(read[0][0]))}
