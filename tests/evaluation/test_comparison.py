"""Variants side by side: spreads, paired differences, what is missing; and what a prediction proves of I(xi; y)."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from embeddings import classification, make_embedding
from scipy.special import digamma

from omib_cli.evaluation.comparison import Outcome, compare
from omib_cli.evaluation.metrics import measured, score_run
from omib_cli.evaluation.pairing import Evidence, evidence_of, shared_draws, shared_units
from omib_cli.evaluation.runs import Predictor, read_run
from omib_cli.evaluation.sufficiency import information_plane, surprises_of, task_information
from omib_cli.report.drawing import styled
from omib_cli.report.variants import sweep_figure
from omib_cli.runtime.progress import Progress


def outcome(variant, seed, accuracy, dataset="d", evidence=None, **more):
    values = {"accuracy": accuracy}
    return Outcome(
        variant, seed, "done", values=values, evidence=evidence, dataset=dataset, main_metric="accuracy", **more
    )


def judged(variant, seed, labels, right, ids=None, dataset="d", groups=None):
    """A run that is right on some samples."""
    guess = np.where(right, labels, 1 - labels).astype(int)
    ids = np.array([f"s{i}" for i in range(len(labels))] if ids is None else ids)
    own = Evidence(classification(2), "test", np.log(np.eye(2)[guess] + 1e-9), labels.astype(float), ids, groups)
    return outcome(variant, seed, float(right.mean()), dataset, own)


def test_mean_and_sample_standard_deviation_over_seeds():
    found = compare("r", [outcome("omib", 0, 0.7, seconds=2.0), outcome("omib", 1, 0.9, seconds=4.0)], "omib").rows[0]
    assert found.metrics["accuracy"].mean == pytest.approx(0.8)
    assert found.metrics["accuracy"].sd == pytest.approx(math.sqrt(0.02))
    assert (found.count, found.seconds.mean) == (2, 3.0)


def test_a_difference_is_taken_seed_by_seed_and_resample_by_resample():
    """Both sides scatter from resample to resample, their difference does not: pairing must show that."""
    labels, right = np.arange(100) % 2, np.arange(100) % 5 > 0
    outcomes = [judged(name, seed, labels, right) for name in ("omib", "concat") for seed in (0, 1)]
    gap = compare("r", outcomes, "omib").rows[1].difference
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.0, 0.0, 0.0))


def test_samples_are_paired_by_id_wherever_they_stand():
    rng = np.random.default_rng(0)
    labels, right = np.arange(100) % 2, np.arange(100) % 5 > 0
    order = rng.permutation(100)
    names = np.array([f"s{i}" for i in range(100)])
    outcomes = [judged("omib", 0, labels, right), judged("concat", 0, labels[order], right[order], names[order])]
    gap = compare("r", outcomes, "omib").rows[1].difference
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.0, 0.0, 0.0))


def test_samples_are_one_where_ids_and_labels_agree():
    """Simulations number their samples from 0 whatever the seed; made splits share some of them."""
    labels = np.arange(40) % 2
    names = np.array([f"s{i}" for i in range(40)])
    first = judged("omib", 0, labels, labels == labels).evidence
    same = replace(first, labels=first.labels.copy())
    shifted = replace(first, ids=np.array([f"s{i}" for i in range(20, 60)]))
    drawn_anew = replace(first, labels=1 - first.labels)
    (a, b), units = shared_units([first, same])
    assert units == 40
    np.testing.assert_array_equal(a, b)
    (a, b), units = shared_units([first, shifted])
    assert (units, len(np.intersect1d(a, b))) == (60, 20)
    assert a[names == "s25"] == b[5]
    (a, b), units = shared_units([first, drawn_anew])
    assert (units, len(np.intersect1d(a, b))) == (80, 0)


def test_groups_are_drawn_whole_where_every_run_has_enough_of_them():
    labels = np.arange(60) % 2
    many, few = (np.array([f"g{i % count}" for i in range(60)]) for count in (12, 3))
    runs = [judged("omib", seed, labels, labels == 1, groups=groups).evidence for seed, groups in ((0, many), (1, few))]
    assert shared_units(runs[:1])[1] == 12
    assert shared_units(runs)[1] == 120  # their groups contradict each other: other data
    assert shared_units([replace(each, ids=each.ids + str(i)) for i, each in enumerate(runs)])[1] == 120


@pytest.mark.parametrize("design", ["one test set", "half in common", "test sets of their own"])
def test_an_interval_of_a_difference_covers_the_truth_as_often_as_it_says(design):
    """Two methods differ by .04 on average; which samples suit which, and which seeds, is drawn."""
    rng = np.random.default_rng(7)
    covered, trials, seeds, rows = 0, 250, 4, 120
    step = {"one test set": 0, "half in common": rows // 2, "test sets of their own": rows}[design]
    for trial in range(trials):
        suits = 0.3 * rng.normal(size=rows + step * (seeds - 1))  # the sample's own leaning to one of the methods
        labels = rng.integers(0, 2, len(suits))
        draws = []
        for seed in range(seeds):
            own = np.arange(rows) + step * seed
            luck = 0.02 * rng.normal()
            for name, sign in (("concat", 1), ("omib", -1)):
                chance = np.clip(0.5 + sign * (0.02 + 0.5 * (suits[own] + luck)), 0, 1)
                draws.append(
                    judged(name, seed, labels[own], rng.random(rows) < chance, [f"s{i}" for i in own], str(seed))
                )
        gap = compare("r", draws, "omib", bootstrap=200, seed=trial).rows[0].difference
        covered += gap.low <= 0.04 <= gap.high
    assert 0.91 <= covered / trials <= 0.985


def test_a_difference_that_changes_its_sign_from_seed_to_seed_has_an_interval_around_zero():
    labels = np.arange(200) % 2
    ninety, seventy, eighty = (np.arange(200) % 10 < tenths for tenths in (9, 7, 8))
    outcomes = [judged("omib", seed, labels, eighty) for seed in (0, 1)]
    outcomes += [judged("concat", 0, labels, ninety), judged("concat", 1, labels, seventy)]
    gap = compare("r", outcomes, "omib").rows[1].difference
    assert gap.value == pytest.approx(0.0)
    assert gap.low < -0.1 < 0.1 < gap.high


def test_runs_on_different_datasets_are_not_paired():
    labels = np.arange(20) % 2
    outcomes = [judged("omib", 0, labels, labels == 1), judged("concat", 0, labels, labels == 0, dataset="another")]
    assert compare("r", outcomes, "omib").rows[1].difference is None


def test_a_difference_over_fewer_seeds_than_the_means_says_so():
    outcomes = [outcome("omib", seed, 0.8) for seed in (0, 1)] + [outcome("concat", seed, 0.7) for seed in (0, 2)]
    table = compare("r", outcomes, "omib")
    assert table.rows[1].plain()["difference"] == {"value": pytest.approx(-0.1), "low": None, "high": None, "n": 1}
    assert "| −0.100 (1 of 2 seeds) |" in table.markdown()


def test_a_cell_that_failed_is_named_with_its_reason_and_not_counted():
    outcomes = [outcome("omib", 0, 0.8), Outcome("omib", 1, "failed", "training diverged")]
    table = compare("r", outcomes, "omib")
    assert table.rows[0].count == 1
    assert "- omib: seed 1: failed (training diverged)" in table.markdown()


def test_what_is_compared_is_what_the_report_says(tmp_path):
    run = read_run(make_embedding(tmp_path / "a.h5ad", seed=3))
    own = evidence_of(run)
    reported = score_run(run, 0, Progress()).splits["test"]["fused"].metrics
    assert measured(own.task, own.scores, own.labels, own.groups) == {
        name: each.value for name, each in reported.items()
    }
    (draws,) = shared_draws([own], "accuracy", 200, seed=0)
    assert draws.std() > 0
    assert draws.mean() == pytest.approx(reported["accuracy"].value, abs=0.02)


def test_a_prediction_proves_no_more_than_its_held_out_loss_says(tmp_path):
    run = read_run(make_embedding(tmp_path / "e.h5ad"))
    rows = run.split == "test"
    scores, labels = run.predictors[0].scores[rows], run.labels[rows]
    share = labels.mean()
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share) + 1 / (2 * len(labels))
    expected = entropy + np.mean([each[int(y)] for each, y in zip(scores, labels, strict=True)])
    assert task_information(run) == pytest.approx(expected, rel=1e-6)


def predicting(run, labels, guess):
    """A run whose fused head predicts this."""
    fused = replace(run.predictors[0], scores=guess[:, None], present=np.ones(len(labels), dtype=bool))
    every = np.full(len(labels), "test")
    return replace(run, labels=labels, split=every, groups=None, compression={}, predictors=[fused])


@pytest.mark.parametrize("shape", ["normal", "two bumps", "uniform", "skewed"])
def test_a_regressions_bound_stays_below_the_truth_whatever_the_labels_are(tmp_path, shape):
    """y is seen through Gaussian noise; a Gaussian of y's variance would claim more than there is."""
    run = read_run(make_embedding(tmp_path / "e.h5ad", "regression"))
    rng, count, noise = np.random.default_rng(0), 4000, 0.05
    labels = {
        "normal": rng.normal(size=count),
        "two bumps": np.where(rng.random(count) < 0.5, -3.0, 3.0) + 0.1 * rng.normal(size=count),
        "uniform": rng.random(count),
        "skewed": rng.exponential(size=count),
    }[shape]
    errors = noise * rng.normal(size=count)
    entropy = {
        "normal": 0.5 * math.log(2 * math.pi * math.e),
        "two bumps": 0.5 * math.log(2 * math.pi * math.e * 0.01) + math.log(2),
        "uniform": 0.0,
        "skewed": 1.0,
    }[shape]
    truth = entropy - 0.5 * math.log(2 * math.pi * math.e * noise**2)
    assert task_information(predicting(run, labels, labels + errors)) == pytest.approx(truth, abs=0.1)


def test_labels_with_ties_have_no_density_and_prove_nothing(tmp_path):
    run = read_run(make_embedding(tmp_path / "e.h5ad", "regression"))
    labels = np.arange(400) % 2 * 2.0 - 1.0
    guess = labels + 0.01 * np.random.default_rng(0).normal(size=400)
    assert math.isnan(task_information(predicting(run, labels, guess)))
    assert "I(ξ; y)" not in [each.name for each in information_plane(predicting(run, labels, guess), 20)]


def test_surprises_are_those_of_the_nearest_neighbours():
    labels = np.random.default_rng(1).normal(size=60)
    third = np.sort(np.abs(labels[:, None] - labels), axis=1)[:, 3]
    np.testing.assert_allclose(surprises_of(labels), digamma(60) - digamma(3) + np.log(2 * third))


def guessing(labels, scores):
    """A run of ten classes, all of it test samples."""
    fused = Predictor("fused", scores, np.ones(len(labels), dtype=bool))
    return SimpleNamespace(
        predictors=[fused], split=np.full(len(labels), "test"), headline="test", labels=labels, groups=None,
        task=classification(10), compression={}, branches_see_embedding=False,
        recipe=SimpleNamespace(task=SimpleNamespace(kind="classification"), seed=0),
    )  # fmt: skip


@pytest.mark.parametrize("right", [0.1, 0.6])
def test_an_entropy_of_many_classes_is_not_biased_and_its_interval_covers_the_truth(right):
    """Fifty samples of ten classes, seen right with this probability, and the exact posterior as the prediction."""
    rng, wrong = np.random.default_rng(0), (1 - right) / 9
    truth = math.log(10) + right * math.log(right) + (1 - right) * math.log(wrong)
    found = []
    for _ in range(200):
        seen = rng.integers(0, 10, 50)
        labels = np.where(rng.random(50) < right, seen, (seen + rng.integers(1, 10, 50)) % 10).astype(float)
        scores = np.full((50, 10), math.log(wrong))
        scores[np.arange(50), seen] = math.log(right)
        found.append(information_plane(guessing(labels, scores), 200)[0].estimate)
    assert np.mean([each.value for each in found]) == pytest.approx(truth, abs=0.02)
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.9


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_what_a_branch_changes_is_in_the_unit_that_it_has(tmp_path, kind):
    run = read_run(make_embedding(tmp_path / "e.h5ad", kind))
    units = {each.name: each.unit for each in information_plane(run, 20)}
    own = {unit for name, unit in units.items() if name.startswith("KL(")}
    assert own == ({"nats"} if kind == "classification" else {"label's unit squared"})
    assert {unit for name, unit in units.items() if not name.startswith("KL(")} <= {"nats"}


def test_what_an_embedding_may_hold_of_all_modalities_is_said_of_one_draw_where_draws_are_averaged(tmp_path):
    run = read_run(make_embedding(tmp_path / "e.h5ad"))
    run = replace(run, compression={"x1": np.ones(len(run.labels))})
    averaged = run.recipe.model_copy(update={"fusion": run.recipe.fusion.model_copy(update={"inference_samples": 8})})

    def words(run):
        return next(each.words for each in information_plane(run, 20) if each.name == "Σ KL")

    assert "one draw" not in words(run)
    assert "of one draw; this one averages 8, and may hold more" in words(replace(run, recipe=averaged))


@pytest.mark.parametrize(
    ("split", "said"),
    [("test", "proves"), ("validation", "optimistic where this split chose"), ("train", "no bound for new ones")],
)
def test_what_a_prediction_proves_is_said_of_the_split_it_is_proved_on(tmp_path, split, said):
    run = read_run(make_embedding(tmp_path / "e.h5ad"))
    alone = replace(run, split=np.full(len(run.labels), split))
    words = information_plane(alone, 20)[0].words
    assert said in words
    assert ("optimistic" in words, "proves" in words) == (split == "validation", split != "train")


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


def swept(places, unit="nats", **extra):
    """The figure of a sweep over these values."""
    own = {"kl/x1": 1.0, "I(xi;y)": 0.3, **extra}
    return sweep_figure(
        compare("r", [outcome(f"k-{at}", 0, 0.9, extra=own, at=at, kl_unit=unit) for at in places], "k-0")
    )


@pytest.mark.parametrize("places", [(0.0, 1e-4, 1e-2, 1.0), (-1.0, -1e-4, 1e-2, 1.0), (-100.0, -1.0, -0.1)])
def test_a_sweep_through_zero_keeps_every_point_and_says_where_its_axis_is_linear(places):
    figure = swept(places)
    for axes in figure.axes:
        assert np.isfinite(axes.transData.transform([(at, 0.5) for at in places])).all()
        assert list(axes.lines[0].get_xdata()) == sorted(places)
    least = min(abs(at) for at in places if at)
    assert f"linear up to {least:g} on either side of 0" in figure.axes[-1].get_xlabel()
    with np.errstate(all="raise"):
        assert styled(lambda: swept(places)) is not None


@pytest.mark.parametrize(("places", "scale"), [((1e-4, 1.0), "log"), ((0.0, 1.0, 2.0), "linear"), ((0.0,), "linear")])
def test_a_sweep_that_needs_no_mixed_axis_has_none(places, scale):
    figure = swept(places)
    assert {axes.get_xscale() for axes in figure.axes} == {scale}
    assert "linear" not in figure.axes[-1].get_xlabel()


def test_a_sweep_of_a_method_that_averages_its_kl_over_dimensions_says_so():
    assert swept((0.1, 1.0), "nats per dimension").axes[1].get_ylabel() == "nats; KL: nats per dimension"
    assert swept((0.1, 1.0)).axes[1].get_ylabel() == "nats"


def test_a_row_says_what_its_kl_is_in():
    outcomes = [outcome("omib", 0, 0.9, kl_unit="nats"), outcome("e-mib", 0, 0.9, kl_unit="nats per dimension")]
    rows = compare("r", [*outcomes, outcome("concat", 0, 0.9)], "omib").plain()["rows"]
    assert [row["kl_unit"] for row in rows] == ["nats", "nats per dimension", ""]


def part_of(bayes):
    return {"a0": {"columns": 2, "bayes": bayes, "accuracy": {"value": bayes}}}


@pytest.mark.parametrize(
    "other", [{"seed": 0, "dataset": "e", "origin": "o"}, {"seed": 1, "dataset": "e", "origin": "p"}]
)
def test_sub_vectors_of_data_that_differ_from_variant_to_variant_are_not_shown_and_that_is_said(other):
    one = outcome("recipe", 0, 0.9, subvectors=part_of(0.7), origin="o")
    found = compare("r", [one, outcome("k-2", accuracy=0.9, subvectors=part_of(0.8), **other)], "recipe")
    assert found.subvectors == []
    assert "Sub-vectors are not shown: not all runs have the same data" in found.markdown()


def test_sub_vectors_of_the_same_data_are_counted_once_a_seed():
    outcomes = [
        outcome(name, seed, 0.9, dataset=f"d{seed}", subvectors=part_of(0.7 + seed / 10), origin="o")
        for name in ("omib", "concat")
        for seed in (0, 1)
    ]
    found = compare("r", outcomes, "omib")
    assert (found.subvectors[0].bayes.mean, found.subvectors[0].bayes.count) == (pytest.approx(0.75), 2)
    assert "not shown" not in found.markdown()


def test_a_table_says_that_no_run_is_charged_with_what_runs_share():
    outcomes = [outcome("omib", 0, 0.9, seconds=2.0, shared_seconds=7.5), outcome("concat", 0, 0.9, shared_seconds=0.5)]
    assert "took 8.000 s more in all, and no run is charged with it" in compare("r", outcomes, "omib").markdown()
    early = outcome("film", 0, 0.9)
    assert "no run is charged" not in compare("r", [*outcomes, early], "omib").markdown()
