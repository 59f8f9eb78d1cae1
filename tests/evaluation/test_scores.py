"""Tables of metrics: splits, heads, intervals, spread over runs."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import anndata
import h5py
import numpy as np
import pytest
from embeddings import classification, make_embedding

from omib_cli.artifacts.embedding import read_embedding
from omib_cli.evaluation.metrics import (
    Measurement,
    RunScores,
    Scores,
    across_runs,
    constant_baseline,
    measured,
    resampled_metric,
    score_run,
    share,
)
from omib_cli.evaluation.runs import read_run
from omib_cli.evaluation.shares import recall_by_class
from omib_cli.runtime.progress import Progress
from omib_cli.tasks.classification import Classification


def scored(path, bootstrap=200, **how):
    run = read_run(make_embedding(path, **how))
    return run, score_run(run, bootstrap, Progress())


def test_every_split_and_head_is_scored_test_first(tmp_path):
    run, table = scored(tmp_path / "e.h5ad")
    assert list(table.splits) == ["test", "validation", "train"]
    assert list(table.splits["test"]) == ["fused", "x1", "x2"]
    rows = run.split == "test"
    expected = (run.predictors[0].scores[rows].argmax(axis=1) == run.labels[rows]).mean()
    estimate = table.splits["test"]["fused"].metrics["accuracy"]
    assert estimate.value == expected
    assert estimate.low < estimate.value < estimate.high


def test_the_training_split_carries_no_interval(tmp_path):
    _, table = scored(tmp_path / "e.h5ad")
    assert math.isnan(table.splits["train"]["fused"].metrics["accuracy"].low)


def test_intervals_are_the_same_twice(tmp_path):
    run, table = scored(tmp_path / "e.h5ad")
    assert score_run(run, 200, Progress()) == table


def test_no_resamples_no_intervals(tmp_path):
    _, table = scored(tmp_path / "e.h5ad", bootstrap=0)
    assert math.isnan(table.splits["test"]["fused"].metrics["accuracy"].low)


def test_resampling_groups_widens_the_interval_of_grouped_data(tmp_path):
    grouped = {"sizes": {"train": 50, "test": 600}, "groups": 30, "seed": 2}
    run, by_group = scored(tmp_path / "g.h5ad", **grouped)
    alone = type(run)(**{**vars(run), "groups": None})
    by_sample = score_run(alone, 200, Progress())
    assert by_group.resampled["test"] == "groups"
    assert by_sample.resampled["test"] == "samples"

    def width(table):
        estimate = table.splits["test"]["fused"].metrics["accuracy"]
        return estimate.high - estimate.low

    assert width(by_group) > 1.5 * width(by_sample)


def test_a_branch_is_judged_on_the_samples_that_have_its_modality(tmp_path):
    run, table = scored(tmp_path / "e.h5ad", missing=True)
    has = run.predictors[2].present & (run.split == "test")
    assert table.splits["test"]["x2"].count == has.sum() < 100
    assert math.isfinite(table.splits["test"]["x2"].metrics["accuracy"].value)
    assert table.splits["test"]["fused"].count == 100


def test_a_method_without_branches_has_the_fused_head_alone(tmp_path):
    _, table = scored(tmp_path / "e.h5ad", branches=False)
    assert list(table.splits["test"]) == ["fused"]


def test_the_constant_prediction_comes_from_the_training_labels(tmp_path):
    run, table = scored(tmp_path / "c.h5ad")
    majority = np.bincount(run.labels[run.split == "train"].astype(int)).argmax()
    assert table.baseline == (run.labels[run.split == "test"] == majority).mean()
    run = read_run(make_embedding(tmp_path / "r.h5ad", "regression"))
    median = np.median(run.labels[run.split == "train"])
    assert constant_baseline(run) == pytest.approx(np.abs(run.labels[run.split == "test"] - median).mean())


def test_across_runs_is_mean_and_sample_standard_deviation():
    values = [0.8, 0.9, 0.85]
    tables = [RunScores({"test": {"fused": Scores(10, {"accuracy": Measurement(v)})}}, 0, {}) for v in values]
    found = across_runs(tables, ["test"] * 3)["accuracy"]
    assert found.mean == pytest.approx(0.85)
    assert found.sd == pytest.approx(statistics.stdev(values))
    assert found.count == 3


def test_undefined_values_do_not_enter_means():
    tables = [RunScores({"test": {"fused": Scores(10, {"auc": Measurement(v)})}}, 0, {}) for v in (0.8, math.nan)]
    found = across_runs(tables, ["test"] * 2)["auc"]
    assert (found.mean, found.count) == (0.8, 1)
    assert found.plain() == {"mean": 0.8, "sd": None, "n": 1}


class Sections(Classification):
    """Judged section by section, as tissue is."""

    by_group = True


def test_a_resample_in_which_a_section_loses_its_metric_is_left_out():
    """The mean over the sections that are left would be another quantity: one section is easy, one is hard."""
    rng = np.random.default_rng(0)
    groups = np.repeat(["easy", "hard"], 60)
    labels = np.zeros(120)
    labels[:2] = labels[60:90] = 1.0  # the easy section has two positives, which many resamples miss
    right = np.where(groups == "easy", 8.0, 0.3)
    logits = np.stack([np.zeros(120), (2 * labels - 1) * right + rng.normal(size=120)], axis=1)
    task = Sections(classification(2).options, ["a", "b"])
    counts = rng.multinomial(120, np.full(120, 1 / 120), size=400).astype(float)
    drawn = resampled_metric(task, "auc", task.scores(logits), labels, groups)(counts)
    lost = counts[:, :2].sum(axis=1) == 0
    assert lost.sum() > 20
    np.testing.assert_array_equal(np.isnan(drawn), lost)
    value = measured(task, task.scores(logits), labels, groups)["auc"]
    assert np.nanmean(drawn) == pytest.approx(value, abs=0.02)


def test_a_branch_that_saw_few_of_the_resampled_groups_has_no_interval(tmp_path):
    run = read_run(make_embedding(tmp_path / "e.h5ad", groups=12))
    few = np.isin(run.groups, [f"gtest-{i}" for i in range(4)])
    predictors = [*run.predictors[:2], replace(run.predictors[2], present=few)]
    table = score_run(replace(run, predictors=predictors), 50, Progress())
    assert table.resampled["test"] == "groups"
    assert math.isfinite(table.splits["test"]["x1"].metrics["accuracy"].low)
    assert math.isnan(table.splits["test"]["x2"].metrics["accuracy"].low)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_embedding_without_logits_is_read_as_before(tmp_path, task):
    """Versions before logits were kept wrote class probabilities alone, as these synthetic embeddings do."""
    run = read_run(make_embedding(tmp_path / "e.h5ad", task))
    stored = read_embedding(tmp_path / "e.h5ad")[0].obsm["output"]
    shown = np.exp(run.predictors[0].scores) if task == "classification" else run.predictors[0].scores
    np.testing.assert_allclose(shown, stored, rtol=1e-6)


def test_a_share_of_samples_has_its_exact_interval(tmp_path):
    """Eight of eight right is no proof that all are: with .63 right that happens once in forty times."""
    eight = share(8, 8)
    assert eight.low**8 == pytest.approx(0.025)
    assert (eight.value, eight.high) == (1.0, 1.0)
    none = share(0, 8)
    assert (none.low, none.high) == (0.0, pytest.approx(1.0 - eight.low))
    _, table = scored(tmp_path / "e.h5ad", sizes={"train": 40, "test": 8}, noise=0.01)
    found = table.splits["test"]["fused"].metrics
    assert (found["accuracy"].value, found["accuracy"].low) == (1.0, pytest.approx(eight.low))
    assert math.isnan(found["f1_macro"].low)  # too few to be resampled


def test_the_recall_of_a_class_is_exact_by_sample_and_wider_by_group(tmp_path):
    run = read_run(make_embedding(tmp_path / "e.h5ad", sizes={"train": 50, "test": 600}, groups=30, seed=2))
    rows = run.split == "test"
    by_group, by_sample = (recall_by_class(each, 200)["yes"] for each in (run, replace(run, groups=None)))
    yes = rows & (run.labels == 1)
    right = int((run.predictors[0].scores[yes].argmax(axis=1) == 1).sum())
    assert by_sample.recall == share(right, int(yes.sum()))
    assert by_group.recall.value == by_sample.recall.value
    assert by_group.recall.high - by_group.recall.low > 1.5 * (by_sample.recall.high - by_sample.recall.low)


@pytest.mark.parametrize("count", [10, 40])
def test_the_interval_of_a_share_covers_the_truth_at_any_size(count):
    right = np.random.default_rng(0).binomial(count, 0.85, size=1000)
    intervals = [share(int(hits), count) for hits in right]
    assert np.mean([each.low <= 0.85 <= each.high for each in intervals]) >= 0.95


def test_a_kl_is_in_the_unit_that_its_method_gives_it(tmp_path):
    units = {
        method: read_run(make_embedding(tmp_path / f"{method}.h5ad", fusion={"method": method})).kl_unit
        for method in ("omib", "e-mib", "mmib-cui", "deep-ib")
    }
    per = "nats per dimension"
    assert units == {"omib": "nats", "e-mib": per, "mmib-cui": per, "deep-ib": "nats"}
    averaged = make_embedding(tmp_path / "mean.h5ad", fusion={"method": "omib", "kl_reduction": "mean"})
    assert read_run(averaged).kl_unit == per


def test_an_evaluation_reads_no_array_that_it_does_not_use(tmp_path):
    path = make_embedding(tmp_path / "e.h5ad")
    data, provenance = read_embedding(path, lambda place: place.startswith(("obs/split", "obsm/output")))
    assert list(data.obs) == ["split"]
    assert sorted(data.obsm) == ["output", "output_x1", "output_x2"]
    whole = anndata.read_h5ad(path)
    np.testing.assert_array_equal(data.X, whole.X)
    assert list(data.obs_names) == list(whole.obs_names)
    assert provenance.hash == read_embedding(path)[1].hash
    with h5py.File(path, "a") as file:  # whatever is wrong with spreads is nothing to an evaluation
        del file["obsm/posterior_sd_x1"]
        file["obsm/posterior_sd_x1"] = "no numbers"
    read_run(path)
