"""``estimate-mi``: what it writes, what it reads, how it continues, what it warns of."""

from __future__ import annotations

import json
import math

import h5py
import numpy as np
import pytest
from small import small_recipe, toy_dataset, write_dataset

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import describe, verify
from omib_cli.artifacts.information import read_information
from omib_cli.errors import Interrupted, StaleError, UsageError
from omib_cli.recipe.information import BetaOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import estimate_mi, train

QUICK = {"epochs": 4, "least_steps": 1, "hidden": [16], "batch": 32, "lr": 0.01, "seeds": 2, "floor": 1e-9}


class Watching(Progress):
    """Keeps warnings, and asks for a stop after so many steps, as a signal would."""

    def __init__(self, stop_after=0):
        self.left, self.job, self.warnings, self.steps = stop_after, None, [], 0

    def advance(self, count, **figures):
        self.steps += 1
        self.left -= 1
        if self.left == 0:
            self.job.stop.set("test")

    def warn(self, message):
        self.warnings.append(message)


def watched(stop_after=0, **kwargs):
    progress = Watching(stop_after)
    progress.job = Job(device="cpu", threads=1, command="test", progress=progress, **kwargs)
    return progress.job


def recipe(count=2, **information):
    return small_recipe(count, information={**QUICK, **information})


@pytest.fixture
def data(tmp_path):
    return toy_dataset(tmp_path / "data.h5")


def test_artifact_holds_every_entropy_and_pair_seed_by_seed(tmp_path):
    data, out = toy_dataset(tmp_path / "data.h5", count=3), tmp_path / "information.h5"
    result = estimate_mi.run(recipe(3), data, out, watched())
    found = read_information(out)
    assert list(found.entropy) == ["x1", "x2", "x3"]
    assert set(found.mutual) == {("x1", "x2"), ("x1", "x3"), ("x2", "x3")}
    assert all(values.shape == (2,) for values in [*found.entropy.values(), *found.mutual.values()])
    facts = found.provenance.facts
    assert facts["estimator"] == "mine"
    assert facts["limit"] == math.log(24)
    assert facts["evaluation_samples"]["x1|x3"] == 24
    assert facts["rows"] == {"x1": 240, "x2": 240, "x3": 240}
    assert found.bounds["lower"] == pytest.approx(1 / (5 * sum(v.mean() for v in found.entropy.values())))
    assert result.figures["M_l"] == found.bounds["lower"]
    assert len(found.provenance.notes["estimates"]["x1|x2"][0]["curve"]) == 4
    json.dumps(found.provenance.notes, allow_nan=False)
    assert verify(out).hash == result.hash


@pytest.mark.parametrize("steps", [1, 11, 40, 47])
def test_interrupted_run_ends_with_the_same_hash(steps, data, tmp_path):
    whole = estimate_mi.run(recipe(), data, tmp_path / "whole.h5", watched())
    out = tmp_path / "parts.h5"
    with pytest.raises(Interrupted):
        estimate_mi.run(recipe(), data, out, watched(steps))
    assert not out.exists()
    second = watched()
    resumed = estimate_mi.run(recipe(), data, out, second)
    assert resumed.hash == whole.hash
    first_to_last = watched()
    estimate_mi.run(recipe(), data, tmp_path / "count.h5", first_to_last)
    assert second.progress.steps == first_to_last.progress.steps - steps  # nothing is done twice
    assert not (tmp_path / "parts.h5.partial").exists()


def test_interrupted_at_every_save_still_ends_with_the_same_hash(data, tmp_path):
    small = recipe(seeds=1, epochs=2)
    whole = estimate_mi.run(small, data, tmp_path / "whole.h5", watched())
    out = tmp_path / "parts.h5"
    for _ in range(100):
        try:
            resumed = estimate_mi.run(small, data, out, watched(5))
            break
        except Interrupted:
            continue
    assert resumed.hash == whole.hash


def test_same_seed_same_hash_other_seed_other_hash(data, tmp_path):
    hashes = [
        estimate_mi.run(recipe().model_copy(update={"seed": seed}), data, tmp_path / f"{i}.h5", watched()).hash
        for i, seed in enumerate([0, 0, 1])
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_finished_run_is_recognised_and_another_recipe_refused(data, tmp_path):
    out = tmp_path / "information.h5"
    first = estimate_mi.run(recipe(), data, out, watched())
    again = estimate_mi.run(recipe(), data, out, watched())
    assert again.already_there
    assert (again.hash, again.figures) == (first.hash, first.figures)
    with pytest.raises(StaleError, match="made otherwise"):
        estimate_mi.run(recipe(epochs=5), data, out, watched())
    assert not estimate_mi.run(recipe(epochs=5), data, out, watched(fresh=True)).already_there


def test_neither_test_nor_validation_rows_are_read(tmp_path):
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(200, 4)) for name in ("x1", "x2")}
    other = {name: each.copy() for name, each in values.items()}
    for each in other.values():
        each[120:] = np.nan
    labels, split = rng.integers(0, 2, 200), np.repeat([0, 1, 2], [120, 30, 50])
    found = []
    for i, each in enumerate((values, other)):
        data = write_dataset(tmp_path / f"{i}.h5", each, labels, split)
        estimate_mi.run(recipe(), data, tmp_path / f"information{i}.h5", watched())
        found.append(read_information(tmp_path / f"information{i}.h5"))
    assert np.array_equal(found[0].mutual["x1", "x2"], found[1].mutual["x1", "x2"])
    assert np.array_equal(found[0].entropy["x1"], found[1].entropy["x1"])


def test_pairs_use_the_rows_that_have_both(tmp_path):
    data, out = toy_dataset(tmp_path / "data.h5", missing=True), tmp_path / "information.h5"
    estimate_mi.run(recipe(), data, out, watched())
    facts = read_information(out).provenance.facts
    with h5py.File(data) as file:
        here = int(file[f"{fmt.MODALITIES}/x2/{fmt.PRESENT}"][:240].sum())
    assert facts["rows"] == {"x1": 240, "x2": here}
    assert here < 240
    assert facts["evaluation_samples"]["x1|x2"] == facts["evaluation_samples"]["x2"] == round(here * 0.1)


def test_what_missing_rows_hold_does_not_matter(tmp_path):
    rng = np.random.default_rng(0)
    present = {"x1": np.ones(200, dtype=bool), "x2": rng.random(200) < 0.7}
    values = {name: rng.normal(size=(200, 4)) for name in present}
    other = {"x1": values["x1"], "x2": np.where(present["x2"][:, None], values["x2"], 99.0)}
    found = []
    for i, each in enumerate((values, other)):
        data = write_dataset(
            tmp_path / f"{i}.h5", each, rng.integers(0, 2, 200), np.repeat([0, 2], [150, 50]), present=present
        )
        estimate_mi.run(recipe(), data, tmp_path / f"information{i}.h5", watched())
        found.append(read_information(tmp_path / f"information{i}.h5").mutual["x1", "x2"])
    assert np.array_equal(*found)


def test_most_samples_is_respected(data, tmp_path):
    out = tmp_path / "information.h5"
    estimate_mi.run(recipe(samples=100), data, out, watched())
    assert read_information(out).provenance.facts["rows"] == {"x1": 100, "x2": 100}


def test_components_stand_for_a_modality(data, tmp_path):
    out = tmp_path / "information.h5"
    estimate_mi.run(recipe(input="pca", components=2), data, out, watched())
    assert read_information(out).provenance.facts["inputs"] == {"x1": "pca", "x2": "pca"}


def test_encodings_stand_for_a_modality(data, tmp_path):
    from omib_cli.stages import warmup

    warm = warmup.run(recipe(input="encodings"), data, tmp_path / "warmup.safetensors", watched())
    out = tmp_path / "information.h5"
    estimate_mi.run(recipe(input="encodings"), data, out, watched(), warm.out)
    found = read_information(out).provenance
    assert found.facts["inputs"] == {"x1": "encodings", "x2": "encodings"}
    assert found.parents[fmt.WARMUP] == warm.hash


def test_encodings_without_a_checkpoint_are_refused(data, tmp_path):
    with pytest.raises(UsageError, match="encodings of x1, x2"):
        estimate_mi.run(recipe(input="encodings"), data, tmp_path / "information.h5", watched())


def test_value_at_its_limit_is_called_what_it_is(data, tmp_path):
    job = watched()
    estimate_mi.run(recipe(critic="bilinear", epochs=60, lr=0.03), data, tmp_path / "information.h5", job)
    assert any("so many samples, not so much information" in warning for warning in job.progress.warnings)


def test_infinite_information_is_said_aloud(data, tmp_path):
    job = watched()
    result = estimate_mi.run(recipe(estimator="gaussian"), data, tmp_path / "information.h5", job)
    assert any("infinite" in warning and "H(x1), H(x2)" in warning for warning in job.progress.warnings)
    assert result.figures["H(x1)"] == math.log(216)


def test_saturation_gives_the_bounds_that_the_number_of_samples_alone_sets(data, tmp_path):
    result = estimate_mi.run(recipe(estimator="saturation"), data, tmp_path / "information.h5", watched())
    assert result.figures["M_l"] == pytest.approx(1 / (6 * math.log(24)))
    assert result.figures["M_u"] == pytest.approx(1 / (3 * math.log(24)))


def test_limit_is_that_of_the_largest_number_of_samples_and_closed_forms_have_none(tmp_path):
    data = toy_dataset(tmp_path / "data.h5", missing=True)
    for estimator in ("mine", "gaussian", "saturation"):
        out = tmp_path / f"{estimator}.h5"
        estimate_mi.run(recipe(estimator=estimator, epochs=1), data, out, watched())
        facts = read_information(out).provenance.facts
        largest = math.log(max(facts["evaluation_samples"].values()))
        assert facts["limit"] == (largest if estimator == "mine" else None)
        assert estimator != "mine" or max(facts["mean"].values()) <= facts["limit"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_training_notes_the_same_spread_as_the_information_file(seeds, data, tmp_path):
    values = recipe(seeds=seeds, epochs=1)
    known = estimate_mi.run(values, data, tmp_path / "information.h5", watched()).out
    facts = read_information(known).provenance.facts
    train.run(values, data, tmp_path / "model.safetensors", watched(), known)
    noted = describe(tmp_path / "model.safetensors").notes["information"]
    assert noted["estimator"] == "mine"
    for name, several in {**noted["entropy"], **noted["mutual"]}.items():
        assert [*several, None][:2] == pytest.approx([facts["mean"][name], facts["sd"][name]])


def test_two_copies_of_a_binary_column_are_warned_of_in_estimate_and_training(tmp_path):
    column = np.random.default_rng(0).integers(0, 2, 300)
    data = write_dataset(
        tmp_path / "data.h5",
        {"x1": column[:, None], "x2": column[:, None]},
        column,
        np.repeat([0, 1, 2], [240, 30, 30]),
    )
    values = recipe(seeds=1, epochs=20, lr=0.02).model_copy(update={"beta": BetaOptions(policy="upper")})
    job = watched()
    known = estimate_mi.run(values, data, tmp_path / "information.h5", job).out
    assert any("M_u (star)" in warning and "nats in all" in warning for warning in job.progress.warnings)
    job = watched()
    train.run(values, data, tmp_path / "model.safetensors", job, known)
    assert describe(tmp_path / "model.safetensors").facts["beta"]["above_objective"]
    assert any("the bound for the loss that is minimised" in warning for warning in job.progress.warnings)
