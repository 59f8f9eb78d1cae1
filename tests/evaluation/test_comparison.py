"""Variants side by side: spreads, paired differences, what is missing; and what a prediction proves of I(xi; y)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from embeddings import make_embedding

from omib_cli.evaluation.comparison import Outcome, compare
from omib_cli.evaluation.metrics import headline_draws
from omib_cli.evaluation.runs import read_run
from omib_cli.evaluation.sufficiency import task_information
from omib_cli.report.drawing import styled
from omib_cli.report.variants import sweep_figure


def outcome(variant, seed, accuracy, draws=(), dataset="d", **more):
    judged = ({"accuracy": accuracy}, {"accuracy": np.array(draws, dtype=float)} if len(draws) else {})
    return Outcome(variant, seed, "done", judged=judged, dataset=dataset, main_metric="accuracy", **more)


def test_mean_and_sample_standard_deviation_over_seeds():
    found = compare("r", [outcome("omib", 0, 0.7, seconds=2.0), outcome("omib", 1, 0.9, seconds=4.0)], "omib").rows[0]
    assert found.metrics["accuracy"].mean == pytest.approx(0.8)
    assert found.metrics["accuracy"].sd == pytest.approx(math.sqrt(0.02))
    assert (found.count, found.seconds.mean) == (2, 3.0)


def test_a_difference_is_taken_seed_by_seed_and_resample_by_resample():
    """Both sides' resamples scatter widely, their difference does not: pairing must show that."""
    noise = np.linspace(-0.3, 0.3, 101)
    outcomes = [outcome("omib", seed, 0.8, 0.8 + noise) for seed in (0, 1)]
    outcomes += [outcome("concat", seed, 0.7, 0.7 + noise) for seed in (0, 1)]
    gap = compare("r", outcomes, "omib").rows[1].difference
    assert (gap.value, gap.low, gap.high) == pytest.approx((-0.1, -0.1, -0.1))


def test_a_difference_that_changes_its_sign_from_seed_to_seed_has_an_interval_around_zero():
    outcomes = [outcome("omib", seed, 0.8, np.full(500, 0.8)) for seed in (0, 1)]
    outcomes += [outcome("concat", 0, 0.9, np.full(500, 0.9)), outcome("concat", 1, 0.7, np.full(500, 0.7))]
    gap = compare("r", outcomes, "omib").rows[1].difference
    assert gap.value == pytest.approx(0.0)
    assert (gap.low, gap.high) == pytest.approx((-0.1, 0.1))


def test_runs_on_different_datasets_are_not_paired():
    outcomes = [outcome("omib", 0, 0.8, [0.8]), outcome("concat", 0, 0.7, [0.7], dataset="another")]
    assert compare("r", outcomes, "omib").rows[1].difference is None


def test_a_cell_that_failed_is_named_with_its_reason_and_not_counted():
    outcomes = [outcome("omib", 0, 0.8), Outcome("omib", 1, "failed", "training diverged")]
    table = compare("r", outcomes, "omib")
    assert table.rows[0].count == 1
    assert "- omib: seed 1: failed (training diverged)" in table.markdown()


def test_resamples_are_the_same_for_runs_of_equal_seed(tmp_path):
    runs = [read_run(make_embedding(tmp_path / f"{name}.h5ad", seed=3)) for name in "ab"]
    first, second = (headline_draws(run, 50) for run in runs)
    assert len(first[1]["accuracy"]) == 50
    assert first[1]["accuracy"].std() > 0
    np.testing.assert_array_equal(first[1]["accuracy"], second[1]["accuracy"])
    assert np.mean(first[1]["accuracy"]) == pytest.approx(first[0]["accuracy"], abs=0.05)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_prediction_proves_no_more_than_its_held_out_loss_says(tmp_path, task):
    run = read_run(make_embedding(tmp_path / "e.h5ad", task))
    rows = run.split == "test"
    outputs, labels = run.predictors[0].outputs[rows].astype(float), run.labels[rows]
    if task == "classification":
        share = labels.mean()
        entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
        expected = entropy + np.mean([math.log(p[int(y)]) for p, y in zip(outputs, labels, strict=True)])
    else:
        expected = 0.5 * math.log(np.var(labels) / np.mean((outputs[:, 0] - labels) ** 2))
    assert task_information(run) == pytest.approx(expected, rel=1e-5)


def test_a_sweep_is_drawn_with_its_parts_its_bound_and_powers_of_ten_in_words():
    def at(beta, seed):
        extra = {"kl/x1": 1.0 / beta, "I(xi;y)": 0.3, "r2/score": 0.9, "r2/b0": 0.0, "M_l": 0.02, "M_u": 0.05}
        name, place = (f"beta-{beta:g}", beta) if beta < 100 else ("recipe", None)
        return outcome(name, seed, 0.9 - beta / 100, extra=extra, at=place)

    table = compare("r", [at(beta, seed) for beta in (1e-5, 1e-2, 1.0, 100.0) for seed in (0, 1)], "recipe")
    figure = styled(lambda: sweep_figure(table))
    assert figure is not None
    drawn = sweep_figure(table)
    assert [axes.get_ylabel() for axes in drawn.axes][1:] == ["nats", "R² of a linear probe of ξ"]
    labels = [axes.get_major_formatter() for axes in (drawn.axes[-1].xaxis, drawn.axes[1].yaxis)]
    assert [label(value, 0) for label in labels for value in (1e-6, 0.01, 10.0)] == 2 * ["10⁻⁶", "0.01", "10"]
    assert {text.get_text() for text in drawn.axes[2].get_legend().get_texts()} == {"all that matters, along δ", "b0"}
