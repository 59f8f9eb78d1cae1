"""Survival from tables to report and prediction: what is simulated is found, by every method."""

from __future__ import annotations

import json
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index

from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.cli import app
from omib_cli.cli.app import main
from omib_cli.errors import DataError, StaleError, UsageError
from omib_cli.recipe.fusion import FUSIONS
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.stages import embed, evaluate, fitting, predict, prepare, train
from omib_cli.stages.new_samples import NewData, prepare_like

NARROW = {"e-mib": {"hidden": 16}, "l-mib": {"hidden": 16}, "c-mib": {"hidden": 16}, "misa": {"width": 32}}
COUNT = 400


def recipe(method="omib", **sections):
    adam = {"optimiser": {"lr": 0.01}, "batch": 300}
    options = {"method": method, **NARROW.get(method, {"hidden": 16} if method == "mmib-zhang" else {})}
    values = {
        "name": "cohort",
        "data": {
            "source": "tables",
            "tables": {name: {"files": f"{name}.csv", "id": "id"} for name in ("rna", "dna")},
            "labels": {
                "files": "clinic.csv",
                "id": "id",
                "column": "months",
                "event": {"column": "status", "of": "DECEASED"},
            },
            "split": {"by": "stratified", "test": 0.3},
        },
        "task": {"kind": "survival"},
        "modalities": {name: {"encoder": {"kind": "mlp", "hidden": [], "width": 8}} for name in ("rna", "dna")},
        "head": {"hidden": 0},
        "fusion": options,
        "beta": {"policy": "value", "value": 0.001},
        "warmup": {"epochs": 10, **adam},
        "train": {"epochs": 50, **adam},
    }
    return recipe_model().model_validate({**values, **sections})


def risk_of(x):
    return 1.2 * x[:, 0] - 1.2 * x[:, 3]


def cohort(folder, count=COUNT, seed=0, missing=True):
    """Proportional hazards: a risk that each table knows a half of, exponential times, random censoring."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    x, ids = rng.normal(size=(count, 6)), [f"s{seed}-{i}" for i in range(count)]
    event, end = rng.exponential(20 * np.exp(-risk_of(x))), rng.exponential(40, size=count)
    index = pd.Index(ids, name="id")
    pd.DataFrame(x[:, :3], index, ["a", "b", "c"]).to_csv(folder / "rna.csv")
    dna = pd.DataFrame(x[:, 3:], index, ["d", "e", "f"])
    (dna.iloc[count // 10 :] if missing else dna).to_csv(folder / "dna.csv")
    status = np.where(event <= end, "DECEASED", "LIVING")
    clinic = pd.DataFrame({"months": np.minimum(event, end) + 0.01, "status": status}, index)
    clinic.to_csv(folder / "clinic.csv")
    return x, clinic


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The cohort's files, dataset, model and embedding."""
    found, job = tmp_path_factory.mktemp("survival"), Job(threads=1, device="cpu")
    cohort(found / "files")
    prepare.run(recipe(), found / "files", found / "d.h5", job)
    train.run(recipe(), found / "d.h5", found / "m.safetensors", job)
    embed.run(found / "d.h5", found / "m.safetensors", found / "e.h5ad", job)
    return found


@pytest.fixture
def job():
    return Job(threads=1, device="cpu")


def test_the_risk_of_proportional_hazards_is_found(folder):
    data = anndata.read_h5ad(folder / "e.h5ad")
    test = data.obs[(data.obs["split"] == "test").to_numpy()]
    found = concordance_index(test["time"], -test["prediction"], test["event"])
    x, _ = cohort(folder / "again")
    truth = dict(zip([f"s0-{i}" for i in range(COUNT)], risk_of(x), strict=True))
    best = concordance_index(test["time"], [-truth[name] for name in test.index], test["event"])
    shutil.rmtree(folder / "again")
    assert best > 0.8
    assert found > best - 0.04
    np.testing.assert_array_equal(np.sign(data.obs["label"]) > 0, data.obs["event"] == 1.0)
    np.testing.assert_array_equal(data.obs["label"].abs(), data.obs["time"])


@pytest.mark.parametrize("method", [name for name in FUSIONS if name != "omib"])
def test_every_method_learns_the_risk_with_modalities_missing(folder, tmp_path, job, method):
    phase = {"epochs": 60, "batch": 100, "optimiser": {"lr": 0.0005 if method == "misa" else 0.002}}
    own = recipe(method, warmup={"epochs": 0}, train=phase)
    train.run(own, folder / "d.h5", tmp_path / "m.safetensors", job)
    embed.run(folder / "d.h5", tmp_path / "m.safetensors", tmp_path / "e.h5ad", job)
    obs = anndata.read_h5ad(tmp_path / "e.h5ad").obs
    test = obs[obs["split"] == "test"]
    assert concordance_index(test["time"], -test["prediction"], test["event"]) > 0.7


def test_the_report_has_metrics_with_intervals_and_curves_of_thirds(folder, tmp_path, job):
    evaluate.run([folder / "e.h5ad"], tmp_path / "report", job, datasets=[folder / "d.h5"])
    run = json.loads((tmp_path / "report" / "report.json").read_text())["runs"][0]
    fused, branch = run["metrics"]["test"]["fused"], run["metrics"]["test"]["rna"]
    assert list(fused) == ["concordance", "time_dependent_auc", "integrated_brier"]
    assert list(branch) == ["concordance", "time_dependent_auc"]  # the baseline hazard is the fused head's
    for metric in fused.values():
        assert metric["low"] < metric["value"] < metric["high"]
    assert fused["integrated_brier"]["value"] < 0.2
    assert run["risk_groups"]["log_rank"]["p"] < 1e-4
    thirds = run["risk_groups"]["thirds"]
    assert sum(third["samples"] for third in thirds.values()) == run["samples"]["test"]["fused"]
    assert thirds["low"]["events"] < thirds["middle"]["events"] < thirds["high"]["events"]
    assert all(third["at_risk"][0] == third["samples"] for third in thirds.values())
    assert (tmp_path / "report" / "figures" / "survival.png").exists()
    assert list(run["references"]) == ["constant", "linear", "linear on rna", "linear on dna"]
    assert run["references"]["constant"]["concordance"]["value"] == 0.5
    assert run["references"]["linear"]["concordance"]["value"] > 0.75
    assert "integrated_brier" not in run["references"]["linear"]
    assert "has a forest or boosting that knows of censoring" in run["no_references"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Cox regression on rna alone" in page
    assert "log-rank p &lt; 0.0001" in (tmp_path / "report" / "report.html").read_text()


def test_new_samples_get_the_survival_that_their_kind_had(folder, tmp_path, job):
    x, clinic = cohort(tmp_path / "new", 2000, seed=7, missing=False)
    out = tmp_path / "p.h5ad"
    predict.run(NewData(tmp_path / "new"), folder / "m.safetensors", out, job, tmp_path / "p.csv", [5.0, 12.5, 30.0])
    table = pd.read_csv(tmp_path / "p.csv", index_col="id").loc[clinic.index]
    curves = table[["survival_5", "survival_12.5", "survival_30"]].to_numpy()
    assert (np.diff(curves, axis=1) < 0).all()
    assert ((curves >= 0) & (curves <= 1)).all()
    for at, predicted in zip((5.0, 12.5, 30.0), curves.T, strict=True):
        true = np.exp(-at / 20 * np.exp(risk_of(x)))
        assert np.abs(predicted - true).mean() < 0.1
        assert predicted.mean() == pytest.approx(true.mean(), abs=0.05)
    np.testing.assert_allclose(table["time"], clinic["months"])
    np.testing.assert_array_equal(table["event"] == 1, clinic["status"] == "DECEASED")
    evaluate.run([out], tmp_path / "report", job)
    found = json.loads((tmp_path / "report" / "report.json").read_text())["runs"][0]["metrics"]["new"]["fused"]
    assert found["concordance"]["value"] > 0.75


def test_other_times_than_before_are_not_passed_over(folder, tmp_path, job):
    (tmp_path / "new").mkdir()
    for name in ("rna", "dna"):
        shutil.copy(folder / "files" / f"{name}.csv", tmp_path / "new")
    new, model, out = NewData(tmp_path / "new"), folder / "m.safetensors", tmp_path / "p.h5ad"
    predict.run(new, model, out, job, times=[5.0])
    assert predict.run(new, model, out, job, times=[5.0]).already_there
    with pytest.raises(StaleError, match="made otherwise"):
        predict.run(new, model, out, job, times=[6.0])
    obs = anndata.read_h5ad(out).obs
    assert obs["time"].isna().all()
    assert obs["event"].isna().all()
    assert obs["survival_5"].between(0, 1).all()


def test_times_of_which_nothing_is_known_are_refused(folder, tmp_path, job):
    with pytest.raises(UsageError, match="nothing is known of so late a time"):
        predict.run(NewData(folder / "files"), folder / "m.safetensors", tmp_path / "p.h5ad", job, times=[1e6])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("said", ["12,soon", "0,12", "-1", "nan", "inf"])
def test_what_is_no_list_of_times_is_refused(folder, said, capsys):
    arguments = ["predict", str(folder / "files"), "--model", str(folder / "m.safetensors"), f"--times={said}"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "--times takes times" in capsys.readouterr().err


def test_labels_of_new_samples_may_lack_events_or_all_be_censored(folder, tmp_path, job):
    cohort(tmp_path / "new", 50, seed=3, missing=False)
    clinic = pd.read_csv(tmp_path / "new" / "clinic.csv").assign(status="LIVING")
    clinic.loc[:9, "status"] = ""
    clinic.to_csv(tmp_path / "new" / "clinic.csv", index=False)
    predict.run(NewData(tmp_path / "new"), folder / "m.safetensors", tmp_path / "p.h5ad", job)
    obs = anndata.read_h5ad(tmp_path / "p.h5ad").obs
    assert obs["event"].isna().sum() == 10
    assert (obs["event"].dropna() == 0).all()


def test_a_cohort_without_an_event_is_not_trained_on(folder, tmp_path, job):
    cohort(tmp_path / "new", 50, seed=3, missing=False)
    clinic = pd.read_csv(tmp_path / "new" / "clinic.csv").assign(status="LIVING")
    clinic.to_csv(tmp_path / "new" / "clinic.csv", index=False)
    new, model = NewData(tmp_path / "new", split="train"), folder / "m.safetensors"
    prepare_like(new, model, tmp_path / "d.h5", job)
    with pytest.raises(DataError, match="every sample is censored"):
        train.run(recipe(), tmp_path / "d.h5", tmp_path / "m.safetensors", job, start=model)


def test_embeddings_have_survival_at_chosen_times(folder, tmp_path, capsys):
    out = tmp_path / "e.h5ad"
    words = ["embed", str(folder / "d.h5"), "--model", str(folder / "m.safetensors"), "-o", str(out), "--device", "cpu"]
    with pytest.raises(SystemExit) as end:
        app.main([*words, "--threads", "1", "--times", "12.5,5"])
    assert end.value.code == 0
    obs = anndata.read_h5ad(out).obs
    assert (obs["survival_5"] >= obs["survival_12.5"]).all()
    assert obs["survival_5"].between(0, 1).all()
    with pytest.raises(SystemExit) as end:
        app.main([*words, "--times", "soon"])
    assert end.value.code == 2
    assert "--times takes times" in capsys.readouterr().err


def test_several_processes_are_refused(folder, monkeypatch):
    monkeypatch.setattr(fitting.processes, "world_size", lambda: 2)
    with pytest.raises(UsageError, match="survival compares the samples of a batch"):
        fitting.must_be_divisible(recipe())


def test_micro_batches_compare_within_themselves_and_train(folder, tmp_path, job):
    phase = {"epochs": 20, "batch": 280, "micro_batch": 90, "optimiser": {"lr": 0.01}}
    own = recipe("concat", warmup={"epochs": 0}, train=phase)
    train.run(own, folder / "d.h5", tmp_path / "m.safetensors", job)
    rows = [json.loads(line) for line in (tmp_path / "m.metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["task"] < rows[0]["task"] - 0.1


def test_a_dataset_holds_times_with_a_sign(folder):
    with Dataset(folder / "d.h5", EVERYTHING) as data:
        labels = data.labels(data.readable)
        assert data.task == "survival"
        assert data.classes == []
        assert (labels > 0).any()
        assert (labels < 0).any()
