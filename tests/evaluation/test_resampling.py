"""Bootstrap: the fast metrics are the task's own, the draws are seeded, groups stay whole."""

from __future__ import annotations

import numpy as np
import pytest
from embeddings import classification, random_case

from omib_cli.evaluation import resampling
from omib_cli.evaluation.metrics import interval
from omib_cli.evaluation.resampling import MIN_GROUPS, WEIGHTED, count_chunks, group_codes, resampler
from omib_cli.recipe.tasks import AnomalyOptions, RegressionOptions
from omib_cli.tasks.anomaly import Anomaly
from omib_cli.tasks.classification import Classification
from omib_cli.tasks.regression import Regression


def draws(total, size, codes=None, seed=0):
    return np.concatenate(list(count_chunks(total, size, codes, seed)))


def must_equal_the_tasks_own(task, outputs, labels, counts):
    names = list(task.metrics(outputs, labels))
    assert set(names) <= set(WEIGHTED)
    found = resampler(task, outputs, labels, names)(counts)
    for row, drawn in enumerate(counts):
        index = np.repeat(np.arange(len(labels)), drawn.astype(int))
        slow = task.metrics(outputs[index], labels[index])
        for name in names:
            assert found[name][row] == pytest.approx(slow.get(name, np.nan), abs=1e-7, nan_ok=True), name


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_resampled_classification_metrics_are_the_tasks_own(classes):
    outputs, labels = random_case(classes, rows=40)
    task = classification(classes)
    scores = task.from_readable(np.round(outputs, 2))  # ties
    must_equal_the_tasks_own(task, scores, labels, draws(25, 40))


def test_resampled_regression_metrics_are_the_tasks_own():
    rng = np.random.default_rng(1)
    labels = np.round(rng.normal(size=50) * 2) / 2
    outputs = labels[:, None] + rng.normal(size=(50, 1))
    must_equal_the_tasks_own(Regression(RegressionOptions(sentiment=True), []), outputs, labels, draws(25, 50))


def test_resampled_anomaly_metrics_are_the_tasks_own():
    rng = np.random.default_rng(2)
    labels = (rng.random(50) < 0.3).astype(float)
    scores = np.round(labels[:, None] + rng.normal(size=(50, 1)), 1)  # ties
    must_equal_the_tasks_own(Anomaly(AnomalyOptions(), ["normal", "anomalous"]), scores, labels, draws(25, 50))


def test_a_metric_that_only_the_task_knows_is_resampled_too():
    class Odd(Classification):
        def metrics(self, scores, labels):
            return {"odd": float((labels == 1).mean()), **super().metrics(scores, labels)}

    outputs, labels = random_case(2, rows=30)
    task = Odd(classification(2).options, ["a", "b"])
    counts = draws(10, 30)
    found = resampler(task, task.from_readable(outputs), labels, ["odd", "accuracy"])(counts)
    assert found["odd"] == pytest.approx(counts @ (labels == 1) / 30)


def test_resamples_without_a_class_are_left_out_and_counted():
    outputs, labels = random_case(2, rows=12)
    labels[:] = 0.0
    labels[0] = 1.0
    counts = draws(400, 12)
    task = classification(2)
    auc = resampler(task, task.from_readable(outputs), labels, ["auc"])(counts)["auc"]
    missing = int((counts[:, 0] == 0).sum())
    assert missing > 50
    assert interval(0.5, auc).skipped == missing


def test_resamples_do_not_depend_on_how_many_are_worked_on_at_once(monkeypatch):
    whole = draws(50, 30, seed=7)
    monkeypatch.setattr(resampling, "CHUNK_CELLS", 100)
    assert [len(chunk) for chunk in count_chunks(7, 30, None, 7)] == [3, 3, 1]
    np.testing.assert_array_equal(draws(50, 30, seed=7), whole)


def test_resamples_are_seeded():
    assert (draws(20, 30, seed=5) == draws(20, 30, seed=5)).all()
    assert (draws(20, 30, seed=5) != draws(20, 30, seed=6)).any()


def test_each_resample_draws_as_many_as_there_are():
    assert (draws(20, 30).sum(axis=1) == 30).all()


def test_groups_are_drawn_whole():
    codes = np.repeat(np.arange(12), [1, 2, 3] * 4)
    counts = draws(20, len(codes), codes)
    for group in range(12):
        assert (counts[:, codes == group] == counts[:, codes == group][:, :1]).all()


def test_few_groups_are_no_sample_of_groups():
    names = np.array([f"g{i}" for i in range(MIN_GROUPS - 1)] * 5)
    assert group_codes(names) is None
    assert group_codes(np.append(names, "another")) is not None


def test_an_interval_leaves_out_a_fortieth_of_the_resamples_at_each_end():
    found = interval(500.0, np.arange(1001.0))
    assert (found.low, found.high) == (25.0, 975.0)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        labels = (rng.random(120) < 0.5).astype(float)
        right = rng.random(120) < 0.8
        outputs = np.eye(2)[np.where(right, labels, 1 - labels).astype(int)]
        accuracy = resampler(classification(2), outputs, labels, ["accuracy"])(draws(300, 120, seed=trial))
        estimate = interval(float(right.mean()), accuracy["accuracy"])
        assert estimate.low <= estimate.value <= estimate.high
        covered += estimate.low <= 0.8 <= estimate.high
    assert 0.90 <= covered / 200 <= 0.99
