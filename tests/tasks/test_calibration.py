"""Calibration errors where the truth is known, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from embeddings import classification, random_case
from sklearn import metrics as sklearn_metrics

from omib_cli.tasks.calibration import bin_count, binned, calibration_error, confidence_and_hits, error_by_chance


def honest(count, classes=3, seed=0):
    """Probabilities from which the labels were drawn: they mean what they say."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), count)
    labels = (rng.random(count)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1).astype(float)
    return probabilities, labels


def found(probabilities, labels):
    task = classification(probabilities.shape[1])
    return task.metrics(task.from_readable(probabilities), labels)


def test_probabilities_that_mean_what_they_say_have_no_calibration_error():
    probabilities, labels = honest(50_000)
    assert found(probabilities, labels)["ece"] < 0.01
    sharper = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    assert found(sharper, labels)["ece"] > 0.1
    assert found(sharper, labels)["log_loss"] > found(probabilities, labels)["log_loss"]
    assert found(sharper, labels)["brier"] > found(probabilities, labels)["brier"]


def test_the_error_of_few_samples_is_what_chance_makes_of_it():
    errors, expected = [], []
    for seed in range(100):
        probabilities, labels = honest(100, seed=seed)
        confidence, hits = confidence_and_hits(np.log(probabilities), labels)
        errors.append(binned(confidence, hits).error)
        expected.append(error_by_chance(confidence, seed, draws=20))
    assert np.mean(errors) == pytest.approx(np.mean(expected), rel=0.1)
    assert np.mean(errors) > 0.04


def test_the_calibration_error_by_hand():
    """Sixteen samples make three bins; with eight the edges cut samples in two where eight is no multiple of two."""
    assert [bin_count(n) for n in (1, 8, 16, 351, 10**6)] == [1, 2, 3, 7, 15]
    confidence = np.array([0.6, 0.6, 0.6, 0.6, 0.9, 0.9, 0.9, 0.9])
    hits = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    assert binned(confidence, hits).error == pytest.approx((0.35 + 0.1) / 2)
    np.testing.assert_allclose(binned(confidence, hits).accuracy, [0.25, 1.0])


def test_the_order_of_equally_confident_samples_has_no_say():
    confidence, hits = np.full(64, 0.75), np.repeat([1.0, 0.0], [48, 16])
    assert binned(confidence, hits).error == pytest.approx(0.0)
    confidence[40:] = 0.5
    order = np.random.default_rng(0).permutation(64)
    assert binned(confidence, hits).error == pytest.approx(binned(confidence[order], hits[order]).error)


def test_the_error_of_a_resample_is_that_of_the_repeated_samples():
    rng = np.random.default_rng(0)
    confidence, hits = np.round(rng.random(50), 1), (rng.random(50) < 0.6).astype(float)
    counts = rng.integers(0, 4, (20, 50)).astype(float)
    errors = calibration_error(confidence, hits)(counts)
    for row, error in zip(counts, errors, strict=True):
        index = np.repeat(np.arange(50), row.astype(int))
        assert error == pytest.approx(binned(confidence[index], hits[index]).error)


@pytest.mark.parametrize("classes", [2, 3])
def test_brier_score_log_loss_and_balanced_accuracy_are_those_of_scikit_learn(classes):
    probabilities, labels = random_case(classes)
    double = probabilities.astype(float)
    double /= double.sum(axis=1, keepdims=True)
    values = found(probabilities, labels)
    every = list(range(classes))
    brier = sklearn_metrics.brier_score_loss(labels, double[:, 1] if classes == 2 else double, labels=every)
    assert values["brier"] == pytest.approx(brier, abs=1e-9)
    assert values["log_loss"] == pytest.approx(sklearn_metrics.log_loss(labels, double, labels=every), abs=1e-9)
    guess = probabilities.argmax(axis=1)
    assert values["balanced_accuracy"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, guess))
