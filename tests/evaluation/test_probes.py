"""Linear probes on embeddings whose content is known, and the truth of simulated data drawn again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small import small_recipe

from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.evaluation import probes
from omib_cli.evaluation.probes import recover
from omib_cli.evaluation.runs import read_run
from omib_cli.stages import run as chain
from omib_cli.stages import simulate
from omib_cli.stages.truth import Truth, truth_of


def test_what_is_in_the_embedding_is_read_and_what_is_not_is_like_its_shuffled_control():
    rng = np.random.default_rng(0)
    embedding, other = rng.normal(size=(400, 8)), rng.normal(size=(400, 30))
    weights = rng.normal(size=(8, 1))
    noisy = embedding @ weights + np.sqrt((weights**2).sum()) * rng.normal(size=(400, 1))
    found = recover(embedding, {"all": embedding @ weights, "half": noisy, "none": other}, seed=1)
    assert found["all"].r2 > 0.999
    assert found["half"].r2 == pytest.approx(0.5, abs=0.08)
    assert found["none"].r2 == pytest.approx(0.0, abs=0.03)
    assert all(abs(each.control) < 0.05 for each in found.values())


def test_few_samples_are_not_probed():
    assert recover(np.zeros((10, 2)), {"a": np.zeros((10, 1))}, seed=0) == {}


@pytest.mark.parametrize("count", [2, 3])
def test_the_truth_drawn_again_is_that_of_the_dataset_and_is_reported(tmp_path, job, count):
    recipe = small_recipe(count)
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"samples": 800})})
    result = chain.run(recipe, None, tmp_path, job)
    run = read_run(tmp_path / "embedding.h5ad")
    truth = truth_of(run, 0).targets
    with Dataset(simulate.run(recipe, tmp_path / "dataset.h5", job).out, EVERYTHING) as data:
        rows = data.rows("test")
        values, labels = data.values("x1", rows), data.labels(rows)
    np.testing.assert_array_equal(truth["score"][:, 0] > 0, labels == 1)
    relevant = sum(part for name, part in truth.items() if name.startswith("a"))
    np.testing.assert_allclose(relevant, truth["score"])
    shared = "b0" if count == 2 else "b00"
    np.testing.assert_allclose(truth[shared], values[:, : truth[shared].shape[1]])
    found = json.loads((result.out / "report.json").read_text())["runs"][0]
    assert set(found["recovery"]) == set(truth)
    assert found["recovery"]["score"]["r2"] > 0.3 > found["recovery"]["score"]["permuted"]
    assert found["recovery"][shared]["r2"] < found["recovery"]["score"]["r2"]
    assert {"I(ξ; y)", "Σ KL"} <= set(found["plane"])


def test_an_embedding_of_other_data_has_no_truth(tmp_path, job):
    recipe = small_recipe()
    chain.run(recipe, None, tmp_path, job)
    run = read_run(tmp_path / "embedding.h5ad")
    run.labels[:] = 1.0 - run.labels
    assert truth_of(run, 0) == Truth()


def test_of_many_samples_the_first_are_probed(monkeypatch):
    rng = np.random.default_rng(0)
    embedding, target = rng.normal(size=(300, 4)), rng.normal(size=(300, 2))
    monkeypatch.setattr(probes, "MOST_SAMPLES", 120)
    found = probes.recover(embedding, {"a": target}, seed=0)
    assert found == probes.recover(embedding[:120], {"a": target[:120]}, seed=0)
    assert found["a"].samples == 120


def test_of_a_large_simulation_no_more_truth_is_drawn_than_is_probed(tmp_path, job, monkeypatch):
    chain.run(small_recipe(), None, tmp_path, job)
    run = read_run(tmp_path / "embedding.h5ad")
    everything = truth_of(run, 0).targets
    monkeypatch.setattr(probes, "MOST_SAMPLES", 11)
    for name, target in truth_of(run, 0).targets.items():
        np.testing.assert_array_equal(target, everything[name][:11])
