"""A model alone predicts raw files of new samples: features by name, labels or none, and says what it does not know."""

from __future__ import annotations

import copy
import re
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest
from test_features import RECIPE, tables

from omib_cli.artifacts.prepared import read_prepared
from omib_cli.errors import DataError, MismatchError, OmibError, UsageError
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.sources.tables import TablesSource
from omib_cli.stages import embed, evaluate, predict, prepare, train
from omib_cli.stages.new_samples import NewData, prepare_like, recipe_for
from omib_cli.training.shift import verdicts


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model, and the embedding of its own data; the data it was trained on are gone."""
    folder, job = tmp_path_factory.mktemp("trained"), Job(threads=1, device="cpu")
    dataset = prepare.run(recipe_model().model_validate(RECIPE), tables(folder / "first"), folder / "first.h5", job).out
    model = train.run(recipe_model().model_validate(RECIPE), dataset, folder / "model.safetensors", job).out
    own = embed.run(dataset, model, folder / "own.h5ad", job).out
    dataset.unlink()
    shutil.rmtree(folder / "first")
    return model, own


def predicted(trained, folder, **options):
    out = folder.with_suffix(".h5ad")
    predict.run(NewData(folder, **options), trained[0], out, Job(threads=1, device="cpu"), folder.with_suffix(".csv"))
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    return anndata.read_h5ad(out)


def files(folder, change=lambda frame: frame):
    """The tables of :func:`tables`, without labels."""
    tables(folder, change)
    (folder / "labels.csv").unlink()
    return folder


def test_unlabelled_files_are_predicted_as_the_prepared_dataset_was(trained, tmp_path):
    found, own = predicted(trained, files(tmp_path / "new")), anndata.read_h5ad(trained[1])
    own = own[found.obs_names]
    np.testing.assert_allclose(found.X, own.X, rtol=0, atol=1e-6)
    assert list(found.obs["prediction"]) == list(own.obs["prediction"])
    assert set(found.obs["prediction"]) <= {"yes", "no"}
    assert found.obs["label"].isna().all()
    assert set(found.obs["split"]) == {"new"}


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame[frame.columns[::-1]],
        lambda frame: frame.assign(stranger=1.0),
        lambda frame: frame.iloc[::-1],
    ],
    ids=["columns in another order", "one more column", "rows in another order"],
)
def test_order_and_strangers_change_nothing(trained, tmp_path, change):
    plain = predicted(trained, files(tmp_path / "plain"))
    other = predicted(trained, files(tmp_path / "other", change))
    np.testing.assert_array_equal(other[plain.obs_names].X, plain.X)


def test_a_sample_alone_is_predicted_as_among_others(trained, tmp_path):
    whole = predicted(trained, files(tmp_path / "whole"))
    folder = files(tmp_path / "alone")
    for name in ("rna", "dna"):
        pd.read_csv(folder / f"{name}.csv").iloc[[7]].to_csv(folder / f"{name}.csv", index=False)
    alone = predicted(trained, folder)
    assert list(alone.obs_names) == ["s7"]
    np.testing.assert_allclose(alone.X, whole["s7"].X, atol=1e-6)


def test_features_that_are_missing_are_refused_by_name_or_filled_as_far_as_allowed(trained, tmp_path):
    folder = files(tmp_path / "new", lambda frame: frame.drop(columns="dna_2"))
    with pytest.raises(MismatchError) as caught:
        predicted(trained, folder)
    assert "dna_2" in str(caught.value)
    assert "--allow-missing 0.2" in str(caught.value)
    assert not list(tmp_path.glob("*.h5ad"))
    found = predicted(trained, folder, allow_missing=0.2)
    whole = anndata.read_h5ad(trained[1])[found.obs_names]
    assert not np.allclose(found.X, whole.X)
    mean = files(tmp_path / "mean", lambda frame: frame.assign(dna_2=np.nan))
    np.testing.assert_array_equal(predicted(trained, mean, allow_missing=0.2).X, found.X)


@pytest.mark.parametrize("lost", [1, 3])
def test_the_share_that_a_refusal_names_is_enough(trained, tmp_path, lost):
    folder = files(tmp_path / "new")
    table = pd.read_csv(folder / "dna.csv")
    table.loc[: lost - 1, "dna_2"] = np.nan
    table.to_csv(folder / "dna.csv", index=False)
    with pytest.raises(DataError) as caught:
        predicted(trained, folder)
    share = re.search(r"--allow-missing (\S+)", str(caught.value))[1]
    predicted(trained, folder, allow_missing=float(share))


def test_files_that_are_not_there_are_named_with_what_to_say(trained, tmp_path):
    folder = files(tmp_path / "new")
    (folder / "dna.csv").unlink()
    with pytest.raises(UsageError) as caught:
        predicted(trained, folder)
    assert "no dna.csv; there are: rna.csv" in str(caught.value)
    assert "--modality dna=none" in str(caught.value)
    recipe = recipe_for(NewData(folder, labels="typo.csv", files={"dna": "none"}), trained[0])
    source = TablesSource(recipe, folder, read_prepared(trained[0], 0.0)[0])
    source.plan()
    assert "no typo.csv: these samples have no labels" in source.warnings


def test_few_values_outside_the_training_range_are_no_reason_to_doubt_one_sample():
    one = {"samples": 1, "features": 12, "far": 0}
    assert not verdicts({"rna": one | {"outside": 1 / 12}}, {})
    assert verdicts({"rna": one | {"outside": 6 / 12}}, {})
    assert verdicts({"rna": one | {"samples": 100, "outside": 1 / 12}}, {})


def test_no_feature_in_common_is_another_modality(trained, tmp_path):
    with pytest.raises(MismatchError, match="not one of the features"):
        predicted(trained, files(tmp_path / "new", lambda frame: frame.add_prefix("x")))


def test_labels_are_for_evaluation_and_unknown_classes_count_as_unknown(trained, tmp_path):
    folder = tables(tmp_path / "new")
    labels = pd.read_csv(folder / "labels.csv")
    labels.loc[0, "status"], labels.loc[1, "status"] = "maybe", ""
    labels.to_csv(folder / "labels.csv", index=False)
    found = predicted(trained, folder)
    assert list(found.obs["label"].isna()) == [True, True, *[False] * 38]
    assert any("'maybe'" in said for said in warnings(trained, folder))


def warnings(trained, folder, **options):
    result = prepare_like(NewData(folder, **options), trained[0], folder.with_suffix(".h5"), Job(threads=1))
    from omib_cli.artifacts.dataset import EVERYTHING, Dataset

    with Dataset(result.out, EVERYTHING) as data:
        return data.provenance.notes["warnings"]


def test_a_modality_may_be_missing_in_some_samples_or_in_all(trained, tmp_path):
    folder = files(tmp_path / "some")
    pd.read_csv(folder / "dna.csv").iloc[:30].to_csv(folder / "dna.csv", index=False)
    some = predicted(trained, folder)
    assert int(some.obs["has_dna"].sum()) == 30
    assert some.obs["novelty_dna"].isna().sum() == 10
    (folder / "dna.csv").unlink()
    with pytest.raises(UsageError, match=r"no dna\.csv"):
        predicted(trained, files_without(tmp_path / "forgotten"))
    none = predicted(trained, files_without(tmp_path / "none"), files={"dna": "none"})
    assert not none.obs["has_dna"].any()
    assert none.obs["prediction"].notna().all()


def files_without(folder):
    files(folder)
    (folder / "dna.csv").unlink()
    return folder


def test_other_file_names_are_named(trained, tmp_path):
    folder = files(tmp_path / "new")
    (folder / "dna.csv").rename(folder / "methylation.csv")
    plain = predicted(trained, files(tmp_path / "plain"))
    np.testing.assert_array_equal(predicted(trained, folder, files={"dna": "methylation.csv"}).X, plain.X)
    with pytest.raises(UsageError, match="no modality 'protein'"):
        predicted(trained, folder, files={"protein": "x.csv"})


def test_values_far_from_training_are_novel(trained, tmp_path):
    near = predicted(trained, files(tmp_path / "near"))
    far = predicted(trained, files(tmp_path / "far", lambda frame: frame * 100.0))
    assert far.obs["novelty_dna"].mean() > 0.9 > near.obs["novelty_dna"].mean()
    np.testing.assert_array_equal(far.obs["novelty_rna"], near.obs["novelty_rna"])


def test_the_table_says_what_the_embedding_says(trained, tmp_path):
    found = predicted(trained, files(tmp_path / "new"))
    table = pd.read_csv(tmp_path / "new.csv", index_col="id")
    np.testing.assert_allclose(table["probability_yes"] + table["probability_no"], 1.0, atol=1e-6)
    likely = np.where(table["probability_yes"] > 0.5, "yes", "no")
    assert list(table["prediction"]) == list(likely) == list(found.obs["prediction"])
    shares = table[["probability_yes", "probability_no"]].to_numpy()
    np.testing.assert_allclose(table["entropy"], -(shares * np.log(shares)).sum(axis=1), atol=1e-5)


def test_a_model_of_an_earlier_version_says_so(trained, tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(trained[0], framework="np") as file:
        header = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header["omib"] = header["omib"].replace('"prepared"', '"unknown"')
    old = tmp_path / "old.safetensors"
    save_file(weights, old, metadata=header)
    with pytest.raises(MismatchError, match="does not carry"):
        predict.run(NewData(files(tmp_path / "new")), old, tmp_path / "p.h5ad", Job(threads=1, device="cpu"))


def test_an_empty_cohort_is_refused(trained, tmp_path):
    with pytest.raises(OmibError):
        predicted(trained, files(tmp_path / "new", lambda frame: frame.iloc[:0]))


def test_predictions_with_labels_are_evaluated(trained, tmp_path):
    predicted(trained, tables(tmp_path / "new"))
    result = evaluate.run([tmp_path / "new.h5ad"], tmp_path / "report", Job(threads=1, device="cpu"), bootstrap=20)
    assert "new/accuracy" in result.figures


def test_the_report_says_how_new_samples_differ_from_training_and_when_not_to_trust_predictions(trained, tmp_path):
    known = predicted(trained, files(tmp_path / "near"))
    near = notes_of(known)
    assert near["doubts"] == []
    assert near["shift"]["dna"]["outside"] < 0.05
    assert near["shift"]["dna"]["far"] == 0

    def changed(frame):
        return frame.assign(dna_1=frame["dna_1"] + 50.0, dna_3=frame["dna_3"] - 20.0)

    notes = notes_of(predicted(trained, files(tmp_path / "far", changed)))
    most = notes["shift"]["dna"]["most"]
    assert [row[0] for row in most[:2]] == ["dna_1", "dna_3"]
    assert most[0][3] - most[0][2] == pytest.approx(50.0, abs=1.0)
    assert notes["shift"]["dna"]["far"] == 2
    assert notes["shift"]["dna"]["outside"] == pytest.approx(0.4, abs=0.05)
    assert any("the values of dna are not like those of training" in doubt for doubt in notes["doubts"])
    assert any("unlike every training sample in dna" in doubt for doubt in notes["doubts"])
    assert not any("rna" in doubt.replace("dna", "") for doubt in notes["doubts"])
    still = notes_of(predicted(trained, files(tmp_path / "still", lambda frame: frame * 0.0 + frame.mean())))
    assert any("vary less in dna than the training samples" in doubt for doubt in still["doubts"])


def notes_of(found) -> dict:
    import json

    return json.loads(found.uns["omib"]["provenance"])["notes"]


def test_predictions_without_a_label_have_a_report_without_metrics(trained, tmp_path):
    predicted(trained, files(tmp_path / "new", lambda frame: frame * 100.0))
    result = evaluate.run([tmp_path / "new.h5ad"], tmp_path / "report", Job(threads=1, device="cpu"), bootstrap=20)
    page = (tmp_path / "report/report.html").read_text()
    assert "none of them has a label" in page
    assert "How the new samples differ from training" in page
    assert "the values of dna are not like those of training" in page
    assert (tmp_path / "report/figures/novelty.svg").exists()
    assert result.figures["new/accuracy"] is None


def test_new_samples_get_tempered_probabilities_and_sets_at_the_level_asked_for(tmp_path):
    job, recipe = Job(threads=1, device="cpu"), copy.deepcopy(RECIPE)
    recipe["data"]["split"] = {"by": "stratified", "test": 0.1, "validation": 0.6}
    recipe = recipe_model().model_validate(recipe)
    dataset = prepare.run(recipe, tables(tmp_path / "first"), tmp_path / "first.h5", job).out
    model = train.run(recipe, dataset, tmp_path / "model.safetensors", job).out
    found = {}
    for name, options in {"usual": {}, "raw": {"raw": True}, "half": {"level": 0.5}}.items():
        folder, csv = tables(tmp_path / name), tmp_path / f"{name}.csv"
        predict.run(NewData(folder), model, tmp_path / f"{name}.h5ad", job, csv, **options)
        found[name] = pd.read_csv(csv, index_col="id")
    usual, raw, half = found.values()
    assert (usual["prediction"] == raw["prediction"]).all()
    assert not np.allclose(usual["probability_yes"], raw["probability_yes"])
    assert (usual["set"] == raw["set"]).all()
    assert half["set"].str.len().sum() < usual["set"].str.len().sum()
    report = evaluate.run([tmp_path / "half.h5ad"], tmp_path / "report", job).out
    assert "hold the truth of 50.0% of the samples" in (report / "report.html").read_text()
    with pytest.raises(UsageError, match="99 or more"):
        predict.run(NewData(tmp_path / "half"), model, tmp_path / "much.h5ad", job, level=0.99)
    assert not list(tmp_path.glob("*much*"))


def test_a_model_carries_the_categories_of_its_columns_of_text(tmp_path):
    job = Job(threads=1, device="cpu")
    recipe = copy.deepcopy(RECIPE)
    recipe["data"]["tables"]["dna"]["encode"] = {"site": "onehot", "stage": ["I", "II"]}
    recipe = recipe_model().model_validate(recipe)
    texts = {"site": np.array(["north", "south", "east"])[np.arange(40) % 3], "stage": ["I", "I", "II", "I", "II"] * 8}
    folder = tables(tmp_path / "first", lambda frame: frame.assign(**texts))
    dataset = prepare.run(recipe, folder, tmp_path / "first.h5", job).out
    model = train.run(recipe, dataset, tmp_path / "model.safetensors", job).out
    own = anndata.read_h5ad(embed.run(dataset, model, tmp_path / "own.h5ad", job).out)
    found = predicted((model,), files(tmp_path / "again", lambda frame: frame.assign(**texts)))
    np.testing.assert_allclose(found.X, own[found.obs_names].X, rtol=0, atol=1e-6)
    strange = files(tmp_path / "strange", lambda frame: frame.assign(**texts | {"site": "moon"}))
    assert not np.allclose(predicted((model,), strange).X, found.X)
    assert any("'moon' (40 samples)" in said for said in warnings((model,), strange))
