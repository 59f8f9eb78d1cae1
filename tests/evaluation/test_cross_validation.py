"""Nadeau and Bengio's error by hand, pairs of folds, pooled predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from embeddings import classification

from omib_cli.evaluation.comparison import Outcome
from omib_cli.evaluation.cross_validation import corrected_difference, cross_validation
from omib_cli.evaluation.pairing import Evidence
from omib_cli.report.cross_validation import cross_validation_page


def test_the_corrected_error_is_that_of_nadeau_and_bengio_by_hand():
    """Four differences .1, .3, .2, .2: variance .02/3; 20 tested for 80 trained on; t of 3 degrees is 3.1824."""
    found = corrected_difference([0.1, 0.3, 0.2, 0.2], 20 / 80)
    error = math.sqrt((1 / 4 + 1 / 4) * 0.02 / 3)
    assert found.value == pytest.approx(0.2)
    assert found.error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx((0.2 - 3.182446 * error, 0.2 + 3.182446 * error), rel=1e-4)


def test_a_single_difference_has_no_interval():
    found = corrected_difference([0.1], 0.25)
    assert found.plain() == {"value": 0.1, "low": None, "high": None, "standard_error": None}


def fold(variant, number, right, seed=0, groups=None, rows=20):
    """A fold of ``rows`` samples of two classes, of which the first ``right`` are predicted right."""
    labels = np.arange(rows) % 2
    guess = np.where(np.arange(rows) < right, labels, 1 - labels)
    ids = np.array([f"f{number}-{row}" for row in range(rows)])
    own = Evidence(classification(2), "test", np.log(np.eye(2)[guess] + 1e-9), labels.astype(float), ids, groups)
    return Outcome(
        variant, seed, "done", values={"accuracy": right / rows}, evidence=own, dataset=f"{seed}-{number}",
        main_metric="accuracy", fold=number, sizes=(4 * rows, rows),
    )  # fmt: skip


def both(rights, others, **more):
    own = [fold("omib", number, right, **more) for number, right in enumerate(rights, 1)]
    return own + [fold("concat", number, right, **more) for number, right in enumerate(others, 1)]


def test_folds_are_paired_by_their_number_and_their_repeat():
    outcomes = both([10, 12], [12, 18]) + both([10, 14], [14, 18], seed=1)
    found = cross_validation("r", outcomes, "omib", 2, 2, bootstrap=0)
    row = found.rows[1]
    gaps = [0.1, 0.3, 0.2, 0.2]
    assert (row.count, row.pairs) == (4, 4)
    assert row.difference.plain() == pytest.approx(corrected_difference(gaps, 0.25).plain())
    assert found.rows[0].metrics["accuracy"].mean == pytest.approx(np.mean([0.5, 0.6, 0.5, 0.7]))
    assert found.plain()["rows"][1]["difference"]["standard_error"] == pytest.approx(row.difference.error)


def test_pooled_predictions_are_judged_as_one_test_set_of_each_repeat():
    found = cross_validation("r", both([20, 10], [20, 0]), "omib", 2, 1, bootstrap=200)
    (pooled,) = found.pooled["omib"]
    accuracy = pooled.metrics["accuracy"]
    assert (pooled.count, pooled.drawn, accuracy.value) == (40, "samples", 0.75)
    assert 0.55 < accuracy.low < 0.75 < accuracy.high < 0.95
    assert "| omib | 1 | 0.750 [" in found.markdown()
    assert "bootstrap resamples of samples" in found.markdown()


def test_pooled_intervals_draw_whole_groups_where_there_are_enough():
    """Samples of a group are right or wrong together, so that 40 of them know no more than ten groups do."""
    outcomes = []
    for number in (1, 2):
        labels, right = np.arange(50) % 2, np.arange(50) % 10 < 5
        groups = np.array([f"g{number}-{row % 10}" for row in range(50)])
        scores = np.log(np.eye(2)[np.where(right, labels, 1 - labels)] + 1e-9)
        ids = np.array([f"{number}-{row}" for row in range(50)])
        for name, own in (("omib", groups), ("alone", None)):
            evidence = Evidence(classification(2), "test", scores, labels.astype(float), ids, own)
            outcomes.append(
                Outcome(
                    name, 0, "done", values={"accuracy": 0.5}, evidence=evidence, main_metric="accuracy", fold=number
                )
            )
    found = cross_validation("r", outcomes, "omib", 2, 1, bootstrap=400)
    widths = {
        name: own[0].metrics["accuracy"].high - own[0].metrics["accuracy"].low for name, own in found.pooled.items()
    }
    assert found.pooled["omib"][0].drawn == "groups"
    assert widths["omib"] > 1.5 * widths["alone"]


def test_a_repeat_that_lacks_a_fold_is_not_pooled_and_the_fold_is_named():
    outcomes = [fold("omib", 1, 15), Outcome("omib", 0, "failed", "training diverged", fold=2)]
    found = cross_validation("r", outcomes, "omib", 2, 1, bootstrap=50)
    assert found.pooled == {"omib": []}
    assert "seed 0, fold 2: failed (training diverged)" in found.markdown()
    assert "training diverged" in cross_validation_page(found, "")


def test_the_page_has_what_the_table_has_and_escapes_what_it_shows():
    found = cross_validation("a<b", both([10, 12], [12, 18]), "omib", 2, 1, bootstrap=50)
    page = cross_validation_page(found, "")
    assert "a&lt;b" in page
    assert "<b:" not in page
    for text in ("0.550 ± 0.071", "+0.200 [", "2 folds, 1 repeat.", "Nadeau"):
        assert text in page
