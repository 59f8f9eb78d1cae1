"""Ridge Cox regression as a reference: lifelines' coefficients, more columns than samples, which penalty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from omib_cli.evaluation.cox import CoxRidge
from omib_cli.tasks.survival_metrics import concordance


def survival(samples=200, columns=5, seed=0):
    """Standardised columns, of which three matter, and signed times with ties."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(samples, columns))
    values = (values - values.mean(0)) / values.std(0, ddof=1)
    times = np.ceil(rng.exponential(np.exp(-values[:, :3] @ [1.0, 0.5, -0.5])) * 10)
    ends = np.ceil(rng.exponential(size=samples) * 10)
    return values, np.where(times <= ends, times, -ends)


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_coefficients_are_those_of_lifelines(penalty):
    from lifelines import CoxPHFitter

    values, labels = survival()
    table = pd.DataFrame(values).assign(time=np.abs(labels), event=labels > 0)
    known = CoxPHFitter(penalizer=penalty).fit(table, "time", "event").params_.to_numpy()
    per_event = penalty * len(labels) / (labels > 0).sum()  # lifelines divides by samples, and not by columns
    assert CoxRidge([per_event / 5]).fit(values, labels).weights == pytest.approx(known, abs=1e-3)


def test_of_more_columns_than_samples_the_solution_is_the_same():
    values, labels = survival(40, 5)
    wide = np.concatenate([values, np.zeros((40, 60))], axis=1)  # columns that add nothing
    narrow = CoxRidge([0.1 * 65 / 5]).fit(values, labels).weights
    assert CoxRidge([0.1]).fit(wide, labels).weights[:5] == pytest.approx(narrow, abs=1e-3)


def test_noise_is_penalised_more_than_what_tells_the_order():
    values, labels = survival(300, 30)
    told = CoxRidge().fit(values, labels)
    noise = CoxRidge().fit(np.random.default_rng(1).normal(size=values.shape), labels)
    assert noise.penalty > told.penalty
    unseen, later = survival(300, 30, seed=2)
    assert concordance(told.predict(unseen), later)(np.ones((1, 300)))[0] > 0.75


def test_a_single_event_leaves_the_largest_penalty():
    values, labels = survival(30, 3)
    labels = -np.abs(labels)
    labels[4] = 7.0
    assert CoxRidge().fit(values, labels).penalty == max(CoxRidge().penalties)
