"""What sub-vectors predict: the formula against draws, the order of Table 2, and the report of a simulated run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from embeddings import make_embedding
from small import small_recipe

from omib_cli.evaluation.runs import read_run
from omib_cli.evaluation.subvectors import Sample, bayes_accuracy, measure, parts_of_subvectors
from omib_cli.recipe.load import load_recipe
from omib_cli.sources.simulation import SimulationSource
from omib_cli.stages import evaluate, truth
from omib_cli.stages import run as chain

TWO = {"x1": ["b0", "b1", "a0", "a1"], "x2": ["b0", "b2", "a0", "a2"]}


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """Reports without figures, which take most of the time."""
    monkeypatch.setattr(evaluate, "draw_run", lambda *_: [])


@pytest.mark.parametrize("parts", [["a0"], ["a1", "a2"], ["b0", "a2"], ["b0", "b1"], ["a0", "a1", "a2"]])
def test_the_best_guess_is_right_as_often_as_the_formula_says(parts):
    rng = np.random.default_rng(0)
    delta = {part: rng.normal(size=size) for part, size in {"a0": 3, "a1": 6, "a2": 2}.items()}
    drawn = {part: rng.normal(size=(40_000, len(values))) for part, values in delta.items()}
    label = sum(drawn[part] @ delta[part] for part in delta) > 0
    guess = sum((drawn[part] @ delta[part] for part in parts if part in delta), np.zeros(len(label))) > 0
    assert bayes_accuracy(parts, delta) == pytest.approx((guess == label).mean(), abs=0.01)


def test_all_that_matters_is_enough_to_the_last_digit():
    rng = np.random.default_rng(1)
    for size in range(1, 60):
        delta = {"a0": rng.normal(size=size), "a1": rng.normal(size=3), "a2": rng.normal(size=7)}
        assert bayes_accuracy(["a2", "b0", "a0", "a1"], delta) == 1.0


@pytest.mark.parametrize(
    ("name", "expected"), [("sim-i", (0.667, 0.833, 0.885, 0.710)), ("sim-iii", (0.667, 0.833, 0.790, 0.790))]
)
def test_the_papers_sizes_have_these_accuracies_at_best(name, expected):
    """Expected values have |delta_S|² / |delta|² = columns of S / columns; a drawn delta is near."""
    source = SimulationSource(load_recipe(name))
    ones = {part: np.ones(source.sizes[part]) for part in source.relevant}
    at_best = {row: bayes_accuracy(parts, ones) for row, parts in parts_of_subvectors(source.parts, ones).items()}
    assert list(at_best) == ["a0", "a1 a2", "x1", "x2", "a0 a1 a2", "x1 x2"]
    assert tuple(at_best.values()) == pytest.approx((*expected, 1.0, 1.0), abs=6e-4)


def test_rows_of_three_modalities():
    source = SimulationSource(load_recipe("sim-three"))
    assert {name: len(parts) for name, parts in parts_of_subvectors(source.parts, source.relevant).items()} == {
        "a00 a12 a13 a23": 4,
        "a11 a22 a33": 3,
        "x1": 8,
        "x2": 8,
        "x3": 8,
        "a00 a12 a13 a23 a11 a22 a33": 7,
        "x1 x2 x3": 14,
    }


def test_rows_without_parts_and_repetitions_are_left_out():
    relevant = ["a0", "a1", "a2"]
    without_superfluous_parts = parts_of_subvectors({"x1": ["a0", "a1"], "x2": ["a0", "a2"]}, relevant)
    assert list(without_superfluous_parts) == ["a0", "a1 a2", "x1", "x2", "a0 a1 a2"]
    assert list(parts_of_subvectors({"x1": ["b0", "a1"], "x2": ["b0"]}, relevant)) == ["a1", "x1", "x2"]


def test_each_classifier_sees_its_own_columns_and_is_judged_on_the_held_samples():
    rng = np.random.default_rng(2)
    sizes = {"a0": 4, "a1": 2, "b0": 3, "b1": 1}
    delta = {"a0": rng.normal(size=4), "a1": rng.normal(size=2), "a2": np.empty(0)}

    def sample(count):
        columns = {part: rng.normal(size=(count, size)).astype(np.float32) for part, size in sizes.items()}
        score = columns["a0"] @ delta["a0"] + columns["a1"] @ delta["a1"]
        return Sample(columns, (score > 0).astype(float))

    found = measure(TWO, delta, sample(2000), sample(1000))
    columns = {name: each.columns for name, each in found.items()}
    assert columns == {"a0": 4, "a1": 2, "x1": 10, "x2": 7, "a0 a1": 6}  # all that x2 has is in x1, the union
    for each in found.values():
        assert each.accuracy.value == pytest.approx(each.bayes, abs=0.05)
        assert each.accuracy.low < each.accuracy.value < each.accuracy.high
    unbounded = measure(TWO, delta, sample(200), sample(100), intervals=False)["a0"]
    assert unbounded.plain()["accuracy"] == {"value": unbounded.accuracy.value, "low": None, "high": None}


@pytest.mark.parametrize("count", [2, 3])
def test_the_report_of_a_simulated_run_has_them_in_order_and_within_what_is_possible(tmp_path, job, count):
    recipe = small_recipe(count)
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"samples": 1500})})
    report = chain.run(recipe, None, tmp_path, job).out
    run = json.loads((report / "report.json").read_text())["runs"][0]
    found, optimum = run["subvectors"], "a0 a1 a2" if count == 2 else "a00 a11 a22 a33"
    union = " ".join(recipe.modalities)
    assert {*recipe.modalities, optimum, union} < set(found)
    for each in found.values():
        at_best, accuracy = each["bayes"], each["accuracy"]
        spread = np.sqrt(at_best * (1 - at_best) / run["samples"]["test"]["fused"])
        assert accuracy["value"] <= at_best + 3 * spread + 0.03
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert found[optimum]["bayes"] == found[union]["bayes"] == 1.0
    assert all(found[name]["bayes"] < 1.0 for name in recipe.modalities)
    assert found[optimum]["accuracy"]["value"] > 0.9
    assert found[union]["columns"] == sum(recipe.data.sizes.values())
    page = (report / "report.html").read_text()
    assert page.index(f'<th scope="row">{union}</th>') < page.index('<th scope="row">fused prediction</th>')


def test_only_training_samples_are_fitted_to_and_no_more_than_enough(tmp_path, job, monkeypatch):
    chain.run(small_recipe(), None, tmp_path, job)
    run = read_run(tmp_path / "embedding.h5ad")
    seen = []
    monkeypatch.setattr(truth, "measure", lambda parts, delta, *samples, intervals: seen.append(samples) or {})
    for most, fitted, held in ((10_000, 216, 30), (20, 20, 20)):
        monkeypatch.setattr(truth, "MOST_SAMPLES", most)
        truth.truth_of(run, 0)
        for sample, split, count in zip(seen.pop(), ("train", "test"), (fitted, held), strict=False):
            np.testing.assert_array_equal(sample.labels, run.labels[run.split == split][:most])
            assert {len(values) for values in sample.columns.values()} == {count}


def test_without_a_training_split_or_another_there_are_none(tmp_path, job):
    chain.run(small_recipe(), None, tmp_path, job)
    run = read_run(tmp_path / "embedding.h5ad")
    assert truth.truth_of(run, 0).subvectors
    run.split[run.split == "train"] = "validation"
    assert truth.truth_of(run, 0).targets
    assert truth.truth_of(run, 0).subvectors == {}
    run.split[:] = "train"
    assert truth.truth_of(run, 0).subvectors == {}


def test_real_data_has_none(tmp_path):
    embedding = make_embedding(tmp_path / "e.h5ad", modalities=1)
    assert truth.truth_of(read_run(embedding), 10) == truth.Truth()
