"""Metrics against scikit-learn and against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from embeddings import classification, random_case
from sklearn import metrics as sklearn_metrics

from omib_cli.evaluation.resampling import resampler
from omib_cli.recipe.tasks import AnomalyOptions, RegressionOptions
from omib_cli.tasks.anomaly import Anomaly
from omib_cli.tasks.regression import Regression, pearson, sentiment_metrics


def scored(task, probabilities, labels):
    return task.metrics(task.from_readable(probabilities), labels)


def everyone(labels):
    return np.ones((1, len(labels)))


@pytest.mark.parametrize("classes", [2, 3])
def test_auc_tells_apart_what_probabilities_round_to_one(classes):
    """All logits lie where float32 probabilities are 0 or 1; the network ranks perfectly all the same."""
    labels = np.repeat(np.arange(classes), 20).astype(float)
    gap = np.linspace(0.0, 1.0, 20)
    logits = np.full((len(labels), classes), -60.0, dtype=np.float32)
    for code in range(classes):  # everybody is of the last class beyond doubt, and of the true one a little less so
        logits[labels == code, code] = 20.0 - 1.5 * gap
    logits[:, -1] = 100.0
    logits[labels == classes - 1, -1] += 70.0
    task = classification(classes)
    scores = task.scores(logits)
    assert (task.readable(scores)[:, -1] == 1.0).all()
    assert task.metrics(scores, labels)["auc"] == 1.0
    assert resampler(task, scores, labels, ["auc"])(everyone(labels))["auc"][0] == pytest.approx(1.0)
    assert sklearn_metrics.roc_auc_score(labels == classes - 1, task.readable(scores)[:, -1]) == 0.5


def test_values_are_learnt_in_units_of_output_and_scored_in_those_of_the_label():

    plain, scaled = (Regression(RegressionOptions(centre=c, scale=s), []) for c, s in ((0.0, 1.0), (70.0, 10.0)))
    outputs, labels = np.array([[-1.0], [0.0], [2.0]], dtype=np.float32), np.array([60.0, 75.0, 90.0])
    assert scaled.scores(outputs)[:, 0].tolist() == [60.0, 70.0, 90.0]
    assert scaled.metrics(scaled.scores(outputs), labels)["mae"] == pytest.approx(5 / 3)
    losses = scaled.loss(torch.tensor(outputs), torch.tensor(labels))
    assert losses.tolist() == pytest.approx([0.0, 0.25, 0.0])
    assert losses.tolist() == plain.loss(torch.tensor(outputs), torch.tensor((labels - 70) / 10)).tolist()


def test_anomaly_scores_that_float32_makes_equal_keep_their_order():
    labels = np.array([0.0, 0.0, 1.0, 1.0])
    task = Anomaly(AnomalyOptions(), ["normal", "anomalous"])
    far = np.full(4, 2e3)  # its square drowns in float32 what the second coordinate tells
    scores = task.scores(np.stack([far, [0.1, 0.2, 0.3, 0.4]], axis=1).astype(np.float32))
    assert task.readable(scores).dtype == np.float64
    assert len(np.unique(scores.astype(np.float32))) < len(np.unique(scores)) == 4
    found = task.metrics(scores, labels)
    assert (found["auc"], found["average_precision"], found["f1"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_classification_metrics_are_those_of_scikit_learn(classes):
    probabilities, labels = random_case(classes)
    truth, guess = labels.astype(int), probabilities.argmax(axis=1)
    found = scored(classification(classes), probabilities, labels)
    double = probabilities.astype(float)
    double /= double.sum(axis=1, keepdims=True)
    auc = (
        sklearn_metrics.roc_auc_score(truth, double[:, 1])
        if classes == 2
        else np.mean([sklearn_metrics.roc_auc_score(truth == code, double[:, code]) for code in range(classes)])
    )
    assert found["accuracy"] == sklearn_metrics.accuracy_score(truth, guess)
    assert found["f1_macro"] == pytest.approx(sklearn_metrics.f1_score(truth, guess, average="macro"))
    assert found["f1_weighted"] == pytest.approx(sklearn_metrics.f1_score(truth, guess, average="weighted"))
    assert found["auc"] == pytest.approx(auc, abs=1e-9)


def test_classification_metrics_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]], dtype=np.float32)
    found = scored(classification(2), probabilities, np.array([0.0, 1.0, 0.0, 1.0]))
    assert found["accuracy"] == 0.5
    assert found["auc"] == 0.75  # three of the four (positive, negative) pairs are in order
    assert found["f1_macro"] == 0.5


def test_auc_is_undefined_where_a_class_has_no_sample():
    probabilities, labels = random_case(3)
    keep = labels != 2
    found = scored(classification(3), probabilities[keep], labels[keep])
    assert math.isnan(found["auc"])
    assert math.isfinite(found["accuracy"])


def test_regression_metrics_by_hand():
    outputs = np.array([[1.0], [2.0], [6.0]])
    found = Regression(RegressionOptions(), []).metrics(outputs, np.array([1.0, 3.0, 4.0]))
    assert found["mae"] == pytest.approx(1.0)
    assert found["rmse"] == pytest.approx(math.sqrt(5.0 / 3.0))
    assert found["pearson_r"] == pytest.approx(np.corrcoef([1, 2, 6], [1, 3, 4])[0, 1])
    assert "acc7" not in found


def test_correlation_of_a_constant_is_undefined():
    assert math.isnan(pearson(np.ones(4), np.arange(4.0)))


def test_acc7_clips_and_rounds_halves_to_the_even_number():
    #                  0.5 -> 0   1.5 -> 2   2.5 -> 2   -0.5 -> 0  7 -> 3   -2.6 -> -3
    predicted = np.array([0.5, 1.5, 2.5, -0.5, 7.0, -2.6])
    truth = np.array([0.0, 2.0, 2.0, 0.0, 3.0, -3.0])
    assert sentiment_metrics(predicted, truth)["acc7"] == 1.0
    assert sentiment_metrics(np.array([0.5]), np.array([1.0]))["acc7"] == 0.0


def test_the_two_conventions_of_acc2_treat_zeros_differently():
    truth = np.array([2.0, -1.0, 0.0, 0.0, 1.0])
    predicted = np.array([1.0, -0.5, -0.2, 0.1, 0.0])
    found = sentiment_metrics(predicted, truth)
    assert found["acc2_nonneg"] == pytest.approx(4 / 5)  # a true 0 counts as positive: one is missed
    assert found["acc2_nonzero"] == 1.0  # without the zeros; the prediction of exactly 0 counts as positive
    assert found["mae_nonzero"] == pytest.approx((1.0 + 0.5 + 1.0) / 3)


def test_sentiment_f1_is_weighted_by_true_counts():
    truth = np.array([1.0, 1.0, 1.0, -1.0])
    predicted = np.array([1.0, 1.0, -1.0, -1.0])
    # positive: precision 1, recall 2/3, F1 .8; negative: precision 1/2, recall 1, F1 2/3
    assert sentiment_metrics(predicted, truth)["f1_nonzero"] == pytest.approx(0.75 * 0.8 + 0.25 * 2 / 3)


def test_scores_beyond_the_ends_are_of_the_outermost_class_and_no_other():
    ends = np.array([-3.0, 3.0, -3.0, 3.0])
    assert sentiment_metrics(np.array([-9.0, 9.0, -3.4, 3.4]), ends)["acc7"] == 1.0
    assert sentiment_metrics(ends, np.array([-9.0, 9.0, -3.9, 3.9]))["acc7"] == 1.0


def test_what_is_neutral_is_no_negative_where_all_samples_count_and_left_out_where_zeros_do():
    found = sentiment_metrics(np.array([0.0, -1.0, 2.0]), np.array([0.5, 0.0, 2.0]))
    assert found["acc2_nonneg"] == pytest.approx(2 / 3)
    assert found["acc2_nonzero"] == 1.0
    assert found["pearson_r_nonzero"] == pytest.approx(1.0)
    assert found["mae_nonzero"] == pytest.approx(0.25)


def test_f1_of_a_class_that_is_never_predicted_is_0():
    assert sentiment_metrics(np.array([1.0, 1.0]), np.array([1.0, -1.0]))["f1_nonneg"] == pytest.approx(1 / 3)


def test_the_gaussian_loss_is_the_log_density_at_the_variance_that_fits_best():
    torch.manual_seed(0)
    task = Regression(RegressionOptions(loss="gaussian", centre=3.0, scale=2.0), [])
    output, label = torch.randn(2, 9, 1, requires_grad=True), 3 + 2 * torch.randn(9)
    error = output.squeeze(-1) - (label - 3) / 2
    variance = error.square().mean(dim=-1, keepdim=True).detach()
    best = -torch.distributions.Normal(0.0, variance.sqrt()).log_prob(error) - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(task.loss(output, label), best)
    there = torch.arange(9) % 3 > 0
    among = task.loss_among(output, label, torch.stack([there, torch.ones(9, dtype=torch.bool)]))
    torch.testing.assert_close(among[0, there], task.loss(output[0, there], label[there]))
    torch.testing.assert_close(among[1], task.loss(output[1], label))
    (slope,) = torch.autograd.grad(task.loss(output, label).mean(dim=-1).sum(), output, retain_graph=True)
    (profile,) = torch.autograd.grad(0.5 * error.square().mean(dim=-1).log().sum(), output)
    torch.testing.assert_close(slope, profile)


def test_only_the_gaussian_loss_compares_the_samples_of_a_batch():
    assert {loss: RegressionOptions(loss=loss).couples_samples for loss in ("mse", "l1", "gaussian")} == {
        "mse": False,
        "l1": False,
        "gaussian": True,
    }


def test_the_gaussian_loss_of_a_perfect_fit_is_finite():
    output = torch.zeros(4, 1, requires_grad=True)
    loss = Regression(RegressionOptions(loss="gaussian"), []).loss(output, torch.zeros(4)).mean()
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * math.log(1e-4))
    assert not output.grad.any()


def test_a_regression_has_the_metrics_of_sentiment_where_the_recipe_says_so():
    scores, truth = np.array([[1.0], [-2.0], [0.3]]), np.array([2.0, -1.0, 0.4])
    plain = Regression(RegressionOptions(), []).metrics(scores, truth)
    asked = Regression(RegressionOptions(sentiment=True), []).metrics(scores, truth)
    assert asked == pytest.approx({**plain, **sentiment_metrics(scores[:, 0], truth)})
    assert len(asked) > len(plain)


def test_correlation_does_not_depend_on_the_unit():
    a, b = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0])
    assert pearson(1e-3 * a, 1e-3 * b) == pytest.approx(pearson(a, b))


def test_sentiment_of_zeros_alone_has_no_metric_without_zeros():
    found = sentiment_metrics(np.array([0.1, -0.1]), np.zeros(2))
    assert "acc2_nonzero" not in found
    assert found["acc2_nonneg"] == 0.5
