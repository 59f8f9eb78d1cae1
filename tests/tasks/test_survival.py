"""Survival: the loss is Cox's with Efron's ties, the metrics are those that libraries compute, where they do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import BreslowFlemingHarringtonFitter, CoxPHFitter, KaplanMeierFitter
from lifelines.utils import concordance_index
from sklearn.metrics import roc_auc_score

from omib_cli.evaluation.resampling import count_chunks, resampler
from omib_cli.recipe.tasks import SurvivalOptions
from omib_cli.tasks.hazard import fit_baseline
from omib_cli.tasks.survival import Survival
from omib_cli.tasks.survival_metrics import concordance, dynamic_auc


def cohort(count=60, seed=0, steps=8, censored=0.4):
    """Two features, log-hazards and signed times with ties, some of an event and a censoring."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2))
    risk = x @ [1.0, -0.7]
    time = np.ceil(steps * rng.exponential(np.exp(-risk)) / 2).clip(1, steps)
    return x, risk, np.where(rng.random(count) < censored, -time, time)


def losses(risk, labels, there=None):
    task = Survival(SurvivalOptions(), [])
    output = torch.tensor(risk, dtype=torch.float32)[..., None]
    return task.loss_among(output, torch.tensor(labels, dtype=torch.float32), there)


def log_likelihood(x, labels, coefficients):
    """Efron's log partial likelihood at these coefficients, as lifelines has it."""
    fitter = CoxPHFitter()
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "time": np.abs(labels), "event": labels > 0})
    fitter.fit(frame, "time", "event", initial_point=np.array(coefficients), fit_options={"max_steps": 0})
    return fitter


def by_hand(risk, labels):
    """The negative log partial likelihood, term by term."""
    time, event, total = np.abs(labels), labels > 0, 0.0
    for at in np.unique(time[event]):
        dead, left = event & (time == at), np.exp(risk[time >= at]).sum()
        d = dead.sum()
        total -= risk[dead].sum() - sum(np.log(left - i / d * np.exp(risk[dead]).sum()) for i in range(d))
    return total


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_is_efrons_partial_likelihood_per_event(seed):
    _, risk, labels = cohort(seed=seed)
    assert len(np.unique(np.abs(labels))) < 10  # ties
    assert losses(risk, labels).mean().item() == pytest.approx(by_hand(risk, labels) / (labels > 0).sum(), rel=1e-5)


def test_the_loss_at_lifelines_coefficients_is_lifelines_likelihood_and_its_least():
    x, _, labels = cohort(200, steps=12)
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "time": np.abs(labels), "event": labels > 0})
    fitted = CoxPHFitter().fit(frame, "time", "event")
    found = fitted.params_.to_numpy()
    ours = losses(x @ found, labels).mean().item() * (labels > 0).sum()
    assert ours == pytest.approx(-fitted.log_likelihood_, rel=1e-5)
    weights = torch.tensor(found, dtype=torch.float32, requires_grad=True)
    task = Survival(SurvivalOptions(), [])
    task.loss((torch.tensor(x, dtype=torch.float32) @ weights)[:, None], torch.tensor(labels).float()).mean().backward()
    assert weights.grad.abs().max() < 1e-4


def test_samples_that_are_not_there_are_neither_events_nor_at_risk():
    _, risk, labels = cohort()
    there = np.arange(len(risk)) % 3 > 0
    every = losses(np.stack([risk, risk]), labels, torch.tensor(np.stack([there, np.ones_like(there)])))
    own = losses(risk[there], labels[there])
    torch.testing.assert_close(every[0, there], own, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(every[1], losses(risk, labels), rtol=1e-5, atol=1e-6)


def test_order_of_samples_and_a_constant_change_nothing():
    _, risk, labels = cohort()
    order = np.random.default_rng(1).permutation(len(risk))
    torch.testing.assert_close(losses(risk[order], labels[order]), losses(risk, labels)[order])
    torch.testing.assert_close(losses(risk + 3, labels), losses(risk, labels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_gradients_are_finite_and_right(scale):
    _, risk, labels = cohort(20)
    output = torch.tensor(scale * risk, dtype=torch.float32).requires_grad_()
    task = Survival(SurvivalOptions(), [])
    loss = task.loss(output[:, None], torch.tensor(labels).float()).mean()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(output.grad).all()
    if scale == 1.0:
        step = 1e-5 * np.eye(len(risk))
        slope = [(by_hand(risk + h, labels) - by_hand(risk - h, labels)) / 2e-5 for h in step]
        np.testing.assert_allclose(output.grad, np.array(slope) / (labels > 0).sum(), atol=1e-5)


def test_a_batch_without_an_event_says_nothing():
    output = torch.randn(5, 1, requires_grad=True)
    loss = Survival(SurvivalOptions(), []).loss(output, -torch.arange(1.0, 6.0)).mean()
    loss.backward()
    assert loss.item() == 0.0
    assert not output.grad.any()


@pytest.mark.parametrize("seed", range(4))
def test_concordance_is_lifelines(seed):
    _, risk, labels = cohort(seed=seed)
    risk = np.round(risk + np.random.default_rng(9).normal(size=len(risk)), 1)  # ties
    found = Survival(SurvivalOptions(), []).metrics(risk[:, None], labels)
    assert found == {"concordance": pytest.approx(concordance_index(np.abs(labels), -risk, labels > 0))}


def test_a_single_event_weighs_like_any_other():
    risk, labels = np.array([0.5, -1.0, 2.0]), np.array([1.0, -2.0, -3.0])
    assert losses(risk, labels).mean().item() == pytest.approx(by_hand(risk, labels), rel=1e-5)
    assert Survival(SurvivalOptions(), []).metrics(risk[[0, 1], None], labels[:2]) == {"concordance": 1.0}


def test_concordance_is_the_same_however_pairs_are_divided(monkeypatch):
    _, risk, labels = cohort()
    whole = concordance(risk, labels)(np.ones((2, len(risk))))
    monkeypatch.setattr("omib_cli.tasks.survival_metrics.CELLS", 3 * len(risk))
    np.testing.assert_allclose(concordance(risk, labels)(np.ones((2, len(risk)))), whole)


def test_concordance_without_a_pair_is_undefined():
    found = Survival(SurvivalOptions(), []).metrics(np.zeros((3, 1)), -np.arange(1.0, 4.0))
    assert np.isnan(found["concordance"])


def test_baseline_is_breslows_and_censoring_is_kaplan_meiers():
    _, risk, labels = cohort(300, steps=30)
    time, event = np.abs(labels), labels > 0
    found = fit_baseline(np.zeros(len(risk)), labels)
    nelson = BreslowFlemingHarringtonFitter().fit(time, event).survival_function_.iloc[:, 0]
    ours = found.survival(np.zeros(1), nelson.index.to_numpy())[0]
    np.testing.assert_allclose(ours[:-1], nelson.to_numpy()[:-1], atol=0.02)  # theirs takes tied events in turn
    # A censoring is an event of its own, after the events of its time
    later = np.where(event, time, time + 1e-6)
    kaplan = KaplanMeierFitter().fit(later, ~event).survival_function_.iloc[:, 0]
    np.testing.assert_allclose(
        found.uncensored(found.times), [kaplan[kaplan.index <= at + 1e-3].iloc[-1] for at in found.times], atol=1e-9
    )


def test_nobody_is_followed_beyond_the_last_censored_and_horizons_are_times_of_events():
    labels = np.array([1.0, 2.0, -3.0, 4.0, 6.0, -7.0])
    found = fit_baseline(np.zeros(6), labels)
    np.testing.assert_allclose(found.uncensored(np.array([2.5, 3.0, 6.5, 7.0])), [1.0, 0.75, 0.75, 0.0])
    assert set(found.horizons) <= {1.0, 2.0, 4.0, 6.0}


def test_a_long_baseline_keeps_its_ends():
    labels = np.arange(1.0, 3001.0)
    found = fit_baseline(np.zeros(3000), labels)
    assert len(found.times) < 3000
    assert (found.times[0], found.times[-1]) == (1.0, 3000.0)


def test_baseline_is_that_of_lifelines_cox_model():
    x, _, labels = cohort(200, steps=1000, censored=0.3)
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "time": np.abs(labels), "event": labels > 0})
    fitted = CoxPHFitter().fit(frame, "time", "event")
    risk = fitted.predict_log_partial_hazard(frame).to_numpy()
    times = np.quantile(np.abs(labels), [0.1, 0.3, 0.6])
    ours = fit_baseline(risk, labels).survival(risk, times)
    np.testing.assert_allclose(ours, fitted.predict_survival_function(frame, times).T.to_numpy(), atol=0.01)


def test_a_hazard_that_knows_no_bounds_is_a_certain_event_and_no_fault():
    _, risk, labels = cohort()
    baseline = fit_baseline(risk, labels)
    np.testing.assert_array_equal(baseline.survival(np.array([1e4, -1e4]), np.array([0.5, 8.0])), [[1, 0], [1, 1]])


def with_baseline(labels, risk):
    task = Survival(SurvivalOptions(), [])
    task.baseline = fit_baseline(risk, labels)
    return task


def test_without_censoring_auc_is_sklearns_and_brier_the_mean_square():
    _, risk, labels = cohort(150, steps=100, censored=0.0)
    task, guess = with_baseline(labels, risk), risk + np.random.default_rng(2).normal(size=len(risk))
    found = task.metrics(guess[:, None], labels)
    areas = [roc_auc_score(labels <= at, guess) for at in task.baseline.horizons if at < labels.max()]
    assert areas
    assert found["time_dependent_auc"] == pytest.approx(np.mean(areas))
    times = np.linspace(0, task.baseline.horizons[-1], 101)[1:]
    square = (task.baseline.survival(guess, times) - (labels[:, None] > times)) ** 2
    assert found["integrated_brier"] == pytest.approx(square.mean())


def test_weights_undo_random_censoring():
    rng = np.random.default_rng(3)
    risk = rng.normal(size=4000)
    time, end = rng.exponential(np.exp(-1.5 * risk)), rng.exponential(1.5, size=4000)
    censored = np.where(time <= end, time, -end)
    seen, whole = with_baseline(censored, 1.5 * risk), with_baseline(time, 1.5 * risk)
    whole.baseline = type(whole.baseline)(
        whole.baseline.times, whole.baseline.hazard, whole.baseline.followed, seen.baseline.horizons
    )
    scores = 1.5 * risk[:, None]
    for name in ("time_dependent_auc", "integrated_brier"):
        assert seen.metrics(scores, censored)[name] == pytest.approx(whole.metrics(scores, time)[name], abs=0.01)


def test_metrics_are_their_definitions_term_by_term():
    _, risk, labels = cohort(80, seed=5, steps=6)
    labels, risk = labels / 20, np.round(risk, 1)  # ties; all times below 1
    time, event, task = np.abs(labels), labels > 0, with_baseline(labels, risk)
    base = task.baseline
    followed = np.array([base.uncensored(np.array([at]), just_before=True)[0] for at in time])
    assert followed.min() < 0.5  # the weights matter
    areas = []
    for horizon in base.horizons:
        won = total = 0.0
        for case in np.flatnonzero(event & (time <= horizon)):
            for control in np.flatnonzero(time > horizon):
                total += 1 / followed[case]
                won += ((risk[case] > risk[control]) + 0.5 * (risk[case] == risk[control])) / followed[case]
        areas += [won / total] if total else []
    brier = []
    for at in np.linspace(0, base.horizons[-1], 101)[1:]:
        alive, beyond = base.survival(risk, np.array([at]))[:, 0], base.uncensored(np.array([at]))[0]
        lost, left = event & (time <= at), time > at
        brier.append((alive**2 / followed)[lost].sum() + (((1 - alive) ** 2)[left] / beyond).sum())
    found = task.metrics(risk[:, None], labels)
    assert found["time_dependent_auc"] == pytest.approx(np.mean(areas))
    assert found["integrated_brier"] == pytest.approx(np.mean(brier) / len(time))


def test_auc_without_a_case_is_undefined_for_each_resample():
    _, risk, labels = cohort()
    area = dynamic_auc(risk, -np.abs(labels), fit_baseline(risk, labels))(np.ones((3, len(risk))))
    assert area.shape == (3,)
    assert np.isnan(area).all()


def test_divergence_is_half_the_squared_distance_of_log_hazards():
    output, reference = torch.tensor([[[1.0], [3.0]], [[0.0], [-1.0]]]), torch.tensor([[2.0], [7.0]])
    found = Survival(SurvivalOptions(), []).divergence(output, reference)
    torch.testing.assert_close(found, torch.tensor([[0.5, 8.0], [2.0, 32.0]]))


def test_likelihood_of_events_is_among_those_who_are_there():
    _, risk, labels = cohort()
    there = torch.tensor(np.arange(len(risk)) % 3 > 0)
    output, label = torch.tensor(risk, dtype=torch.float32)[:, None], torch.tensor(labels, dtype=torch.float32)
    found = Survival(SurvivalOptions(), []).likelihood(output, label, there)
    torch.testing.assert_close(found, (-losses(risk, labels, there)).exp())
    assert not torch.allclose(found[there], (-losses(risk, labels)).exp()[there])


def test_a_branch_has_no_brier_score_of_another_heads_hazard():
    _, risk, labels = cohort()
    task = with_baseline(labels, risk)
    assert set(task.metrics(risk[:, None], labels)) - set(task.of_branch().metrics(risk[:, None], labels)) == {
        "integrated_brier"
    }


def test_resampled_metrics_are_those_of_the_repeated_samples():
    _, risk, labels = cohort(40)
    task, scores = with_baseline(labels, risk), np.round(risk[:, None], 1)
    names = list(task.metrics(scores, labels))
    counts = np.concatenate(list(count_chunks(20, 40, None, 0)))
    found = resampler(task, scores, labels, names)(counts)
    for row, drawn in enumerate(counts):
        index = np.repeat(np.arange(40), drawn.astype(int))
        for name, value in task.metrics(scores[index], labels[index]).items():
            assert found[name][row] == pytest.approx(value, abs=1e-9), name
