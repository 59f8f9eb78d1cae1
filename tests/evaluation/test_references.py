"""Simple models beside a run: what they reach where the truth is known, what they must not see, when there are none."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from embeddings import make_embedding
from real import real_data
from small import small_recipe, toy_dataset, write_dataset
from table_data import table_recipe

from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.artifacts.embedding import write_embedding
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import MismatchError
from omib_cli.evaluation import references
from omib_cli.evaluation.metrics import score_run
from omib_cli.evaluation.references import (
    Columns,
    fitted_scores,
    label_of,
    obstacle,
    read_columns,
    with_references,
)
from omib_cli.evaluation.runs import read_run
from omib_cli.recipe.evaluation import EvaluateOptions
from omib_cli.recipe.load import load_recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import evaluate
from omib_cli.stages import run as chain

EVERY = list(EvaluateOptions().references)


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without figures, where they are not the point: they take most of the time."""
    monkeypatch.setattr(evaluate, "draw_run", lambda *_: [])


def embedded(dataset, path, *, task="classification", wanted=EVERY, classes=None, turned=False, **changes):
    """An embedding of a dataset whose predictions are noise: what is measured here are the references."""
    rng = np.random.default_rng(0)
    with Dataset(dataset, EVERYTHING) as data:
        rows, names, found = data.readable, list(data.modalities), data.provenance.hash
        classes = data.classes if classes is None else classes
        recipe = small_recipe(len(names), task, evaluate={"bootstrap": 50, "references": wanted}, **changes)
        obs = {"id": data.ids(rows), "split": data.split_names(rows), "label": data.labels(rows)}
    if classes:
        obs["label"] = [classes[int(code)] if code == code else "" for code in obs["label"]]
    order = np.arange(len(rows))[:: -1 if turned else 1]
    arrays = {
        f"obs/{name}": np.array(column, dtype=float if name == "label" and not classes else object)[order]
        for name, column in obs.items()
    }
    arrays["X"] = rng.normal(size=(len(rows), 3)).astype(np.float32)
    arrays["obsm/output"] = rng.dirichlet(np.ones(max(1, len(classes))), len(rows)).astype(np.float32)
    facts = {"task": task, "classes": classes, "modalities": names}
    made = Provenance("embedding", recipe.resolved(), recipe.hash("embedding"), parents={"dataset": found}, facts=facts)
    write_embedding(path, len(rows), lambda part: {k: v[part.start : part.stop] for k, v in arrays.items()}, made)
    return path


def referred(embedding, dataset, bootstrap=50):
    run = read_run(embedding)
    with Dataset(dataset, EVERYTHING) as data:
        return with_references(score_run(run, bootstrap, Progress()), run, data)


def test_a_linear_truth_is_found_by_the_linear_model_and_by_halves_from_each_modality(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    found = referred(embedded(dataset, tmp_path / "e.h5ad"), dataset).references
    reached = {name: each.metrics["accuracy"] for name, each in found.items()}
    assert list(reached) == ["constant", "linear", "forest", "boosting", "linear on x1", "linear on x2"]
    assert reached["linear"].value > 0.93
    with Dataset(dataset, EVERYTHING) as data:
        rows = data.rows("test")
        for name in ("x1", "x2"):  # each has half of the score, the sum of its first two columns
            best = ((data.values(name, rows)[:, :2].sum(axis=1) > 0) == data.labels(rows)).mean()
            assert reached[f"linear on {name}"].value == pytest.approx(best, abs=0.07)
    assert reached["constant"].value < 0.6
    for each in found.values():
        assert each.count == 100
        assert each.metrics["accuracy"].low <= each.metrics["accuracy"].value <= each.metrics["accuracy"].high
    assert found["constant"].metrics["auc"].value == 0.5


def test_what_is_no_line_is_found_by_trees_alone(tmp_path):
    rng = np.random.default_rng(3)
    values = {"x1": rng.normal(size=(600, 3)), "x2": rng.normal(size=(600, 3))}
    labels = (values["x1"][:, 0] * values["x2"][:, 0] > 0).astype(float)  # in both, and in neither alone
    dataset = write_dataset(tmp_path / "d.h5", values, labels, np.repeat([0, 2], [400, 200]))
    found = referred(embedded(dataset, tmp_path / "e.h5ad"), dataset).references
    assert min(found[name].metrics["accuracy"].value for name in ("forest", "boosting")) > 0.8
    assert found["linear"].metrics["accuracy"].value < 0.65


def test_regression_has_ridge_the_median_and_trees(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5", task="regression")
    found = referred(embedded(dataset, tmp_path / "e.h5ad", task="regression"), dataset).references
    assert found["linear"].metrics["mae"].value < 0.05
    assert found["linear"].metrics["mae"].value < found["forest"].metrics["mae"].value
    with Dataset(dataset, EVERYTHING) as data:
        fitted, held = data.labels(data.rows("train")), data.labels(data.rows("test"))
    assert found["constant"].metrics["mae"].value == pytest.approx(np.abs(held - np.median(fitted)).mean())


@pytest.mark.parametrize("standardise", ["zscore", "block"])
def test_a_block_keeps_its_scale_for_the_linear_model_too(standardise):
    rng = np.random.default_rng(0)
    scale = np.array([10.0, *np.full(80, 0.1)])
    values, other = rng.normal(size=(160, 81)) * scale, rng.normal(size=(160, 2))
    labels = (values[:, 0] > 0).astype(float)
    tables = {"rna": {"files": "a.csv", "standardise": standardise}, "protein": {"files": "b.csv"}}
    run = SimpleNamespace(recipe=table_recipe(tables=tables), classes=["0", "1"], modalities=["rna", "protein"])
    sides = slice(60), slice(60, 160)
    fitted, held = (Columns({"rna": values[own], "protein": other[own]}, labels[own]) for own in sides)
    scores = fitted_scores(run, fitted, held, ["linear"])["linear"]
    assert ((scores.argmax(axis=1) == held.labels).mean() > 0.95) == (standardise == "block")


def test_only_the_training_split_is_fitted_to(tmp_path):
    """Labels that only the validation split knows are not learnt."""
    rng = np.random.default_rng(0)
    values, split = {"x1": rng.normal(size=(300, 4)), "x2": rng.normal(size=(300, 4))}, np.repeat([0, 1, 2], 100)
    labels = (values["x1"][:, 0] > 0).astype(float)
    labels[:100] = rng.integers(0, 2, 100)
    dataset = write_dataset(tmp_path / "d.h5", values, labels, split)
    found = referred(embedded(dataset, tmp_path / "e.h5ad", wanted=["linear"]), dataset).references
    assert list(found) == ["linear"]
    assert found["linear"].metrics["accuracy"].value < 0.72


def test_samples_are_matched_by_id_whatever_their_order(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5")
    straight, turned = (
        referred(embedded(dataset, tmp_path / f"{t}.h5ad", wanted=["linear"], turned=t), dataset, 0) for t in (0, 1)
    )
    one, other = (found.references["linear"].metrics for found in (straight, turned))
    assert {name: each.value for name, each in one.items()} == pytest.approx(
        {name: each.value for name, each in other.items()}
    )


def test_a_missing_modality_has_the_training_samples_mean(tmp_path):
    dataset = toy_dataset(tmp_path / "d.h5", missing=True)
    with Dataset(dataset, EVERYTHING) as data:
        fitted = read_columns(data, "train")
        here = data.present(data.rows("train"))[:, 1]
    assert bool(np.isnan(fitted.values["x2"][~here]).all())
    assert bool(np.isfinite(fitted.values["x2"][here]).all())
    found = referred(embedded(dataset, tmp_path / "e.h5ad"), dataset).references
    assert found["linear"].metrics["accuracy"].value > found["linear on x1"].metrics["accuracy"].value
    assert {each.count for each in found.values()} == {100}


def test_a_class_that_no_training_sample_has_is_never_predicted_and_counts_as_wrong(tmp_path):
    rng = np.random.default_rng(0)
    values = {"x1": rng.normal(size=(160, 2)), "x2": rng.normal(size=(160, 2))}
    labels = (values["x1"][:, 0] > 0).astype(float)
    labels[-30:] = 2.0
    dataset = write_dataset(tmp_path / "d.h5", values, labels, np.repeat([0, 2], [100, 60]), classes=["a", "b", "new"])
    found = referred(embedded(dataset, tmp_path / "e.h5ad", wanted=["linear", "forest", "boosting"]), dataset)
    for each in found.references.values():
        assert 0.4 <= each.metrics["accuracy"].value <= 0.5


def test_why_there_are_none_is_said(tmp_path, monkeypatch):
    dataset = toy_dataset(tmp_path / "d.h5")
    run = read_run(embedded(dataset, tmp_path / "e.h5ad"))
    scores = score_run(run, 0, Progress())
    assert "--dataset" in with_references(scores, run, None).no_references
    with Dataset(dataset, EVERYTHING) as data:
        assert obstacle(run, data) == ""
        monkeypatch.setattr(references, "MOST_FOR_TREES", 240 * 12 - 1)
        without_trees = with_references(scores, run, data)
        assert list(without_trees.references) == ["constant", "linear", "linear on x1", "linear on x2"]
        assert "that trees are fitted to" in without_trees.no_references
        monkeypatch.setattr(references, "MOST_NUMBERS", 240 * 12 - 1)
        assert "240 training samples of 12 columns" in with_references(scores, run, data).no_references
        monkeypatch.setattr(references, "LEAST_SAMPLES", 241)
        assert "too few" in obstacle(run, data)
    none = read_run(embedded(dataset, tmp_path / "none.h5ad", wanted=[]))
    assert "names none" in with_references(scores, none, None).no_references


def test_the_report_has_them_in_table_figure_sentence_and_json(tmp_path, job):
    dataset = toy_dataset(tmp_path / "dataset.h5")
    report = evaluate.run([embedded(dataset, tmp_path / "e.h5ad")], tmp_path / "report", job).out  # found beside it
    run = json.loads((report / "report.json").read_text())["runs"][0]
    assert list(run["references"]) == ["constant", "linear", "forest", "boosting", "linear on x1", "linear on x2"]
    assert run["no_references"] is None
    page = (report / "report.html").read_text()
    reached = run["references"]["linear"]["accuracy"]["value"]
    assert f"A linear model on the same samples reaches accuracy {reached:.3f} (" in page
    for words in ("logistic regression on x1 alone", "random forest", "gradient boosting", "most frequent class"):
        assert words in page
    assert "gradient boosting" in (report / "figures" / "comparison.svg").read_text()
    assert "Grey: simple models" in page


@pytest.mark.usefixtures("undrawn")
def test_a_dataset_of_another_embedding_is_refused_and_one_beside_it_is_left_alone(tmp_path, job):
    dataset, other = toy_dataset(tmp_path / "d.h5"), toy_dataset(tmp_path / "dataset.h5", task="regression")
    embedding = embedded(dataset, tmp_path / "e.h5ad")
    with pytest.raises(MismatchError, match="no embedding was made from this dataset"):
        evaluate.run([embedding], tmp_path / "report", job, datasets=[other])
    alone = evaluate.run([embedding], tmp_path / "report", job).out
    assert json.loads((alone / "report.json").read_text())["runs"][0]["references"] == {}
    assert "None: the dataset that was embedded is not at hand" in (alone / "report.html").read_text()
    other.write_bytes(b"damaged")
    assert evaluate.run([embedding], tmp_path / "report", job).already_there
    found = evaluate.run([embedding], tmp_path / "given", job, datasets=[dataset])
    assert set(json.loads((found.out / "report.json").read_text())["provenance"]["parents"]) == {"embedding", "dataset"}


@pytest.mark.usefixtures("undrawn")
def test_a_whole_run_has_them(tmp_path, job):
    recipe = small_recipe(evaluate={"bootstrap": 20, "references": ["linear", "modalities"]})
    report = chain.run(recipe, None, tmp_path / "out", job).out
    found = json.loads((report / "report.json").read_text())["runs"][0]["references"]
    assert list(found) == ["linear", "linear on x1", "linear on x2"]
    assert found["linear"]["accuracy"]["value"] > 0.8  # the labels of a simulation are linear in its columns


def test_every_reference_has_a_name_in_words(tmp_path):
    run = read_run(make_embedding(tmp_path / "e.h5ad", "regression"))
    assert label_of("linear on x2", run) == "ridge regression on x2 alone"
    assert label_of("constant", run) == "median"


@pytest.mark.usefixtures("undrawn")
def test_simple_models_on_rosmap_are_near_those_of_the_results_table(tmp_path):
    folder = real_data("rosmap")
    recipe = load_recipe("rosmap", ["warmup.epochs=1", "train.epochs=1", "beta={policy: value, value: 0.02}"])
    report = chain.run(recipe, folder, tmp_path, Job(threads=1, device="cpu")).out
    found = json.loads((report / "report.json").read_text())["runs"][0]["references"]
    assert found["linear"]["auc"]["value"] == pytest.approx(0.90, abs=0.02)
    assert found["forest"]["accuracy"]["value"] == pytest.approx(0.81, abs=0.04)
    assert found["constant"]["accuracy"]["value"] == pytest.approx(55 / 106, abs=1e-4)
