"""The page and the figure of a search: what they say of the winner, and that every kind of value has a place."""

from __future__ import annotations

import pytest

from omib_cli.evaluation.tuning import Margin, TrialRow, Tuning
from omib_cli.report.drawing import styled
from omib_cli.report.tuning import tuning_figure, tuning_page


def found(scores, margin=None, metric="accuracy", **more):
    values = [{"train.lr": 0.1 * (place + 1), "<kind>": ["a", None][place % 2]} for place in range(len(scores))]
    rows = [
        TrialRow(place, "failed" if score is None else "done", values[place], score, loss=1.0 - place / 10)
        for place, score in enumerate(scores)
    ]
    return Tuning("mine", metric, rows, None, "mine-tuned.yaml", margin=margin, **more)


def test_the_best_is_the_best_in_the_metrics_direction_and_of_equals_the_one_of_the_lower_loss():
    assert found([0.5, 0.7, 0.7, 0.6, None]).best.number == 2
    assert found([0.5, 0.7, 0.4, 0.6, None], metric="mae").best.number == 2
    assert found([None, None]).best is None


@pytest.mark.parametrize(
    ("best", "own", "metric", "said"),
    [
        ([0.8, 0.83, 0.81, 0.82], [0.6, 0.62, 0.61, 0.6], "accuracy", "is better than the recipe as it is"),
        ([0.6, 0.62, 0.61, 0.6], [0.8, 0.83, 0.81, 0.82], "mae", "is better than the recipe as it is"),
        ([0.6, 0.62, 0.61, 0.6], [0.8, 0.83, 0.81, 0.82], "accuracy", "not distinguishable"),
        ([0.7, 0.6, 0.8], [0.6, 0.7, 0.65], "accuracy", "not distinguishable"),
        ([0.7], [0.6], "accuracy", "not distinguishable"),
        ([0.7, 0.7], [0.6, 0.6], "accuracy", "not distinguishable"),
    ],
)
def test_the_verdict_says_better_only_where_the_interval_does(best, own, metric, said):
    made = found([0.5, 0.6] if metric == "accuracy" else [0.6, 0.5], Margin(best, own, len(best), 0.25), metric)
    assert said in made.verdict
    assert made.verdict in made.markdown()
    assert made.plain()["verdict"] == made.verdict


def test_a_recipe_that_nothing_beats_is_said_to_be_the_best():
    assert "nothing to be changed" in found([0.7, 0.6]).verdict


def test_the_page_has_every_trial_and_escapes_what_recipes_hold():
    made = found([0.5, 0.7, None, 0.6], importance={"train.lr": 0.7, "<kind>": 0.3})
    picture = styled(lambda: tuning_figure(made))
    assert picture is not None
    page = tuning_page(made, picture[0], "name: <mine>\n")
    for text in ("0, as it is", "Trial 1", "&lt;kind&gt;", "name: &lt;mine&gt;", "mine-tuned.yaml", "<svg", "failed"):
        assert text in page
    assert "<kind>" not in page


@pytest.mark.parametrize("values", [[0.0, 1e-5, 1e-1], [-1.0, 0.0, 3.0], [2, 2, 2], ["a", 1, None], [1e-4, 1e-2, 1e-3]])
def test_values_of_every_kind_have_a_place_in_the_figure(values):
    rows = [TrialRow(place, "done", {"key": value}, 0.1 * place, loss=0.5) for place, value in enumerate(values)]
    assert styled(lambda: tuning_figure(Tuning("mine", "accuracy", rows, 3, "mine-tuned.yaml"))) is not None


def test_a_search_without_a_score_has_no_figure():
    assert tuning_figure(found([None])) is None
