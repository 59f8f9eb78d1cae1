"""Tables of metrics: splits, heads, intervals, spread over runs."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from embeddings import make_embedding

from omib_cli.evaluation.metrics import Measurement, RunScores, Scores, across_runs, constant_baseline, score_run
from omib_cli.evaluation.runs import read_run
from omib_cli.runtime.progress import Progress


def scored(path, bootstrap=200, **how):
    run = read_run(make_embedding(path, **how))
    return run, score_run(run, bootstrap, Progress())


def test_every_split_and_head_is_scored_test_first(tmp_path):
    run, table = scored(tmp_path / "e.h5ad")
    assert list(table.splits) == ["test", "validation", "train"]
    assert list(table.splits["test"]) == ["fused", "x1", "x2"]
    rows = run.split == "test"
    expected = (run.predictors[0].outputs[rows].argmax(axis=1) == run.labels[rows]).mean()
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
