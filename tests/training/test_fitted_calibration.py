"""Temperatures are found, sets and intervals cover; a model without a validation split promises nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
from embeddings import classification
from small import small_recipe, toy_dataset, write_dataset

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.checkpoint import read_carried, read_checkpoint, write_checkpoint
from omib_cli.artifacts.embedding import joined_sets
from omib_cli.errors import StaleError, UsageError
from omib_cli.evaluation.metrics import share
from omib_cli.evaluation.runs import read_run
from omib_cli.evaluation.shares import coverage
from omib_cli.recipe.tasks import RegressionOptions
from omib_cli.runtime.job import Job
from omib_cli.stages import embed, evaluate, train
from omib_cli.tasks.regression import Regression
from omib_cli.training.calibration import Calibration, calibration_of, fit_temperature


def job():
    return Job(threads=1, device="cpu")


def labelled(logits, rng):
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return (rng.random(len(logits))[:, None] > shares.cumsum(axis=1)).sum(axis=1).astype(float)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_of_overconfident_logits_is_found(temperature):
    rng = np.random.default_rng(0)
    honest = rng.normal(scale=1.5, size=(20_000, 4))
    found = fit_temperature(honest * temperature, labelled(honest, rng))
    assert found == pytest.approx(temperature, rel=0.04)


def test_few_samples_that_are_all_right_do_not_make_the_network_certain():
    labels = np.repeat([0.0, 1.0], 10)
    logits = np.eye(2)[labels.astype(int)] * 4.0
    surest = 1 / (1 + np.exp(-4.0 / fit_temperature(logits, labels)))
    assert surest == pytest.approx(21 / 22, abs=1e-4)  # Platt's target


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_sets_and_intervals_cover_new_samples_as_often_as_they_promise(level):
    rng = np.random.default_rng(1)
    task, value = classification(3), Regression(RegressionOptions(), [])
    covered, near = [], []
    for _ in range(300):
        logits = rng.normal(scale=1.0, size=(80, 3))
        labels = labelled(logits, rng)
        strange = task.nonconformity(task.scores(2.0 * logits), labels)  # overconfident: no matter
        covered.append(strange[40:] <= Calibration(held=np.sort(strange[:40])).reach(level))
        truth = rng.standard_t(3, size=80)
        far = value.nonconformity(np.zeros((80, 1)), truth)
        near.append(far[40:] <= Calibration(held=np.sort(far[:40])).reach(level))
    for found in (covered, near):
        assert level - 0.012 < np.mean(found) < level + 1 / 41 + 0.012


@pytest.mark.parametrize(("level", "needed"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_a_level_that_so_few_samples_cannot_give_is_refused_with_their_number(level, needed):
    enough = Calibration(held=np.arange(float(needed)))
    assert enough.reach(level) == needed - 1
    with pytest.raises(UsageError, match=f"{needed} or more"):
        Calibration(held=np.arange(needed - 1.0)).reach(level)


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0, float("nan")])
def test_a_level_is_a_probability(level):
    with pytest.raises(UsageError, match="more than 0 and less than 1"):
        Calibration(held=np.arange(10.0)).reach(level)


def test_a_bar_in_the_name_of_a_class_divides_no_set():
    within = np.array([[True, True], [False, True]])
    assert joined_sets(within, ["a|b", "c"]) == ["a_b|c", "c"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    dataset = toy_dataset(folder / "data.h5", missing=True)
    recipe = small_recipe(train={"epochs": 15, "batch": 16, "optimiser": {"lr": 0.01}})
    return dataset, train.run(recipe, dataset, folder / "model.safetensors", job()).out


def embedded(trained, out, **options):
    return anndata.read_h5ad(embed.run(*trained, out, job(), **options).out)


def test_probabilities_are_tempered_and_predictions_stay(trained, tmp_path):
    calibration = calibration_of(read_carried(trained[1])[0])
    assert set(calibration.temperatures) == {"", "x1", "x2"}
    assert len(calibration.held) == 60
    tempered, raw = embedded(trained, tmp_path / "a.h5ad"), embedded(trained, tmp_path / "b.h5ad", raw=True)
    assert tempered.obs["prediction"].equals(raw.obs["prediction"])
    assert tempered.obs["set"].equals(raw.obs["set"])
    for head in ("", "_x1", "_x2"):
        hot = raw.obsm[f"logits{head}"] / calibration.temperature(head.removeprefix("_"))
        np.testing.assert_allclose(tempered.obsm[f"logits{head}"], hot, rtol=1e-6)
    assert not np.allclose(tempered.obs["probability_1"], raw.obs["probability_1"], atol=1e-3)
    held_out = (tempered.obs["split"] == "validation").to_numpy()
    losses = [
        -np.log(each[held_out].obsm["output"][np.arange(60), each[held_out].obs["label"].astype(int)]).mean()
        for each in (tempered, raw)
    ]
    assert losses[0] < losses[1]


def test_what_was_embedded_otherwise_is_not_taken_for_it(trained, tmp_path):
    embed.run(*trained, tmp_path / "e.h5ad", job(), level=0.8)
    assert embed.run(*trained, tmp_path / "e.h5ad", job(), level=0.8).already_there
    with pytest.raises(StaleError, match=r"level: 0\.8 -> 0\.9"):
        embed.run(*trained, tmp_path / "e.h5ad", job())
    with pytest.raises(StaleError, match="raw: False -> True"):
        embed.run(*trained, tmp_path / "e.h5ad", job(), raw=True, level=0.8)


def test_sets_hold_the_prediction_and_grow_with_the_level(trained, tmp_path):
    sets = {}
    for level in (0.5, 0.95):
        found = embedded(trained, tmp_path / f"{level}.h5ad", level=level)
        sets[level] = [set(each.split("|")) for each in found.obs["set"]]
        assert all(guess in each for guess, each in zip(found.obs["prediction"], sets[level], strict=True))
    assert all(small <= large for small, large in zip(sets[0.5], sets[0.95], strict=True))
    assert sets[0.5] != sets[0.95]
    with pytest.raises(UsageError, match="99 or more"):
        embedded(trained, tmp_path / "e.h5ad", level=0.99)


def test_intervals_of_values_have_the_width_of_the_held_out_errors(tmp_path):
    dataset = toy_dataset(tmp_path / "data.h5", task="regression")
    model = train.run(small_recipe(task="regression"), dataset, tmp_path / "model.safetensors", job()).out
    obs: pd.DataFrame = embedded((dataset, model), tmp_path / "e.h5ad").obs
    held_out = obs[obs["split"] == "validation"]
    errors = np.sort(np.abs(held_out["prediction"] - held_out["label"]))
    np.testing.assert_allclose((obs["high"] - obs["low"]) / 2, errors[54], rtol=1e-5)  # the 55th of 60: 61 * 0.9
    np.testing.assert_allclose((obs["high"] + obs["low"]) / 2, obs["prediction"], atol=1e-9)
    test = obs[obs["split"] == "test"]
    covered = (test["low"] <= test["label"]) & (test["label"] <= test["high"])
    measured = coverage(read_run(tmp_path / "e.h5ad"), 50)
    assert measured.share.value == covered.mean()
    assert measured.size == pytest.approx(2 * errors[54], rel=1e-5)


@pytest.mark.parametrize("method", ["omib", "concat"])
def test_the_spread_of_values_is_on_average_that_of_the_held_out_errors(tmp_path, method):
    dataset = toy_dataset(tmp_path / "data.h5", task="regression")
    recipe = small_recipe(task="regression", fusion={"method": method})
    model = train.run(recipe, dataset, tmp_path / "model.safetensors", job()).out
    obs: pd.DataFrame = embedded((dataset, model), tmp_path / "e.h5ad").obs
    held_out = obs[obs["split"] == "validation"]
    errors = held_out["prediction"] - held_out["label"]
    assert np.mean(held_out["spread"] ** 2) == pytest.approx(np.mean(errors**2), rel=1e-4)
    differs = np.ptp(obs["spread"]) > 1e-3 * obs["spread"].mean()
    assert differs == (method == "omib")  # what its bottlenecks leave open is the sample's own


def test_a_model_of_an_earlier_version_predicts_as_it_did(trained, tmp_path):
    weights, provenance = read_checkpoint(trained[1], fmt.MODEL)
    carried = {k: v for k, v in read_carried(trained[1])[0].items() if not k.startswith(fmt.CALIBRATION)}
    write_checkpoint(tmp_path / "old.safetensors", weights, provenance, carried)
    old = embedded((trained[0], tmp_path / "old.safetensors"), tmp_path / "old.h5ad")
    raw = embedded(trained, tmp_path / "raw.h5ad", raw=True)
    np.testing.assert_array_equal(old.obsm["logits"], raw.obsm["logits"])
    assert "set" not in old.obs


def test_the_report_measures_coverage_on_samples_that_were_not_asked(trained, tmp_path):
    found = embedded(trained, tmp_path / "e.h5ad", level=0.8)
    test = found.obs[found.obs["split"] == "test"]
    covered = [label in each.split("|") for label, each in zip(test["label"], test["set"], strict=True)]
    run = read_run(tmp_path / "e.h5ad")
    measured = coverage(run, 50)
    assert (measured.level, measured.count) == (0.8, 100)
    assert measured.share == share(sum(covered), 100)
    assert measured.size == np.mean([len(each.split("|")) for each in test["set"]])
    assert coverage(replace(run, split=np.where(run.split == "test", "validation", run.split)), 50) is None
    report = evaluate.run([tmp_path / "e.h5ad"], tmp_path / "report", job())
    assert "that are to hold the truth of 80.0% of the samples" in (report.out / "report.html").read_text()
    kept = json.loads((report.out / "report.json").read_text())["runs"][0]["coverage"]
    assert kept["value"] == measured.share.value


def test_without_a_validation_split_nothing_is_promised_and_that_is_said(tmp_path):
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(90, 6)) for name in ("x1", "x2")}
    labels = (sum(value[:, 0] for value in values.values()) > 0).astype(float)
    dataset = write_dataset(tmp_path / "data.h5", values, labels, np.repeat([0, 2], [60, 30]))
    result = train.run(small_recipe(), dataset, tmp_path / "model.safetensors", job())
    found = embedded((dataset, result.out), tmp_path / "e.h5ad")
    assert not {"set", "low"} & set(found.obs)
    with pytest.raises(UsageError, match="0 validation samples"):
        embed.run(dataset, result.out, tmp_path / "f.h5ad", job(), level=0.9)
