"""Simulated data: parts where they should be, labels by the rule, truth that can be checked against."""

from __future__ import annotations

import numpy as np
import pytest

from omib_cli.errors import RecipeError
from omib_cli.recipe.schema import recipe_model
from omib_cli.sources.simulation import SimulationSource

TWO = {"a0": 3, "a1": 5, "a2": 2, "b0": 4, "b1": 1, "b2": 6}
THREE = {f"{kind}{part}": 1 + place for kind in "ab" for place, part in enumerate(("00", "11", "22", "33", "12", "13"))}


def simulation(seed: int = 0, count: int = 2, task: str = "classification", **data) -> SimulationSource:
    recipe = recipe_model().model_validate(
        {
            "name": "sim",
            "seed": seed,
            "data": {"source": "simulation", **data},
            "modalities": {f"x{index + 1}": {} for index in range(count)},
            "task": {"kind": task},
        }
    )
    return SimulationSource(recipe, None)


def part(block, truth, modality: str, name: str) -> np.ndarray:
    start, stop = truth["columns"][modality][name]
    return block.values[modality][:, start:stop]


@pytest.mark.parametrize(("case", "own"), [("i", (500, 100)), ("ii", (100, 500)), ("iii", (300, 300))])
def test_paper_cases_have_a_thousand_columns_each_in_the_order_of_appendix_f(case, own):
    source = simulation(case=case)
    plan = source.plan()
    assert [modality.shape for modality in plan.modalities.values()] == [(1000,), (1000,)]
    first, second = own
    columns = plan.facts["truth"]["columns"]
    b1 = 200 + 600 - first
    assert columns["x1"] == {"b0": [0, 200], "b1": [200, b1], "a0": [b1, b1 + 200], "a1": [b1 + 200, 1000]}
    assert columns["x2"]["a2"] == [1000 - second, 1000]
    assert plan.facts["truth"]["delta_columns"]["a2"] == [200 + first, 200 + first + second]
    assert plan.delta.shape == (200 + first + second,)
    assert np.bincount(plan.split).tolist() == [9000, 0, 1000]
    assert plan.ids[1] == "s0000001"


def test_shared_parts_are_equal_in_every_modality_that_holds_them():
    source = simulation(count=3, parts=THREE, samples=50)
    block, truth = source.block(0, 50), source.truth()
    holders = {"00": ("x1", "x2", "x3"), "12": ("x1", "x2"), "13": ("x1", "x3")}
    for kind in "ab":
        for name, modalities in holders.items():
            first, *others = (part(block, truth, modality, kind + name) for modality in modalities)
            assert first.shape[1] == THREE[kind + name]
            for other in others:
                np.testing.assert_array_equal(first, other)
    assert list(truth["columns"]["x3"]) == ["b00", "b13", "b23", "b33", "a00", "a13", "a23", "a33"]
    assert truth["columns"]["x3"]["a23"][0] == truth["columns"]["x3"]["a23"][1]  # left out of the recipe: no column


def test_own_parts_are_independent_of_each_other():
    source = simulation(parts=TWO, samples=4000)
    block = source.block(0, 4000)
    correlation = np.corrcoef(np.hstack([block.values["x1"], block.values["x2"]]).T)
    shared = np.isclose(correlation, 1.0, atol=1e-6)
    assert shared.sum() == len(correlation) + 2 * (TWO["a0"] + TWO["b0"])  # each with itself, a0 and b0 with a copy
    assert np.abs(correlation[~shared]).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize(("count", "sizes"), [(2, TWO), (3, THREE)])
def test_labels_follow_the_hyperplane_of_the_task_relevant_parts(count, sizes):
    source = simulation(count=count, parts=sizes, samples=500)
    block, truth, delta = source.block(0, 500), source.truth(), source.plan().delta
    score = np.zeros(500)
    for name, (start, stop) in truth["delta_columns"].items():
        holder = next(modality for modality, columns in truth["columns"].items() if name in columns)
        score += part(block, truth, holder, name).astype(float) @ delta[start:stop]
    np.testing.assert_array_equal(block.labels, (score > 0).astype(float))


def test_bayes_accuracy_of_sub_vectors_is_what_geometry_says():
    rows = 20_000
    source = simulation(parts={"a0": 20, "a1": 50, "a2": 10, "b0": 2, "b1": 1, "b2": 1}, samples=rows)
    block, truth, delta = source.block(0, rows), source.truth(), source.plan().delta
    assert 0.48 < block.labels.mean() < 0.52
    for known in (["a0"], ["a1"], ["a0", "a1"], ["a0", "a2"], ["a1", "a2"]):
        score, power = np.zeros(rows), 0.0
        for name in known:
            start, stop = truth["delta_columns"][name]
            score += part(block, truth, "x2" if name == "a2" else "x1", name) @ delta[start:stop]
            power += float(np.sum(delta[start:stop] ** 2))
        expected = 1 - np.arccos(np.sqrt(power / np.sum(delta**2))) / np.pi
        accuracy = np.mean((score > 0) == block.labels)
        assert abs(accuracy - expected) < 3 * np.sqrt(expected * (1 - expected) / rows), known


def test_samples_do_not_depend_on_how_many_there_are_or_on_how_they_are_asked_for():
    few, many = simulation(parts=TWO, samples=100), simulation(parts=TWO, samples=9000)
    np.testing.assert_array_equal(few.block(0, 100).values["x1"], many.block(0, 4096).values["x1"][:100])
    across = many.block(4000, 4300)
    np.testing.assert_array_equal(across.values["x2"][96:], many.block(4096, 8192).values["x2"][:204])
    np.testing.assert_array_equal(across.labels[:96], many.block(0, 4096).labels[4000:])
    assert not np.array_equal(many.block(0, 10).values["x1"], many.block(4096, 4106).values["x1"])


def test_another_seed_gives_other_samples_and_another_hyperplane():
    one, other = simulation(0, parts=TWO, samples=50), simulation(1, parts=TWO, samples=50)
    assert not np.array_equal(one.plan().delta, other.plan().delta)
    assert not np.array_equal(one.block(0, 50).values["x1"], other.block(0, 50).values["x1"])


def test_splits_have_the_sizes_asked_for():
    plan = simulation(parts=TWO, samples=1000, test=0.2, validation=0.25).plan()
    assert np.bincount(plan.split).tolist() == [600, 200, 200]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parts": {"a1": 3}}, "'x2' would have no column"),
        ({"parts": TWO, "samples": 1}, "leave 1 for train"),
        ({"parts": TWO, "samples": 3}, "leave 0 for test"),
        ({"parts": TWO, "task": "regression"}, "task.kind"),
    ],
)
def test_an_impossible_simulation_says_why(changes, words):
    with pytest.raises(RecipeError) as caught:
        simulation(**changes).plan()
    assert words in str(caught.value)
    assert caught.value.exit_code == 2
