"""``omib cross-validate``: files, resume, what is refused before anything runs."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import yaml
from mosi_data import mag_bert, mosi_recipe, published_folder, save
from table_data import label_frame, table_recipe, write_tables

from omib_cli.cli import app

SHORT = {"batch": 16, "epochs": 1}


@pytest.fixture
def files(tmp_path):
    """A recipe that runs in a moment, and its input."""
    folder = tmp_path / "raw"
    folder.mkdir()
    write_tables(folder)
    values = table_recipe().model_copy(update={"name": "rows"}).resolved()
    encoder = {"encoder": {"kind": "mlp", "hidden": [], "width": 4}}
    values |= {
        "head": {"hidden": 0},
        "warmup": SHORT,
        "train": SHORT,
        "modalities": {"rna": encoder, "protein": encoder},
        "evaluate": {"references": []},
    }
    values |= {"beta": {"policy": "value", "value": 0.01}, "fusion": {"method": "omib", "latent": 4}}
    recipe = tmp_path / "rows.yaml"
    recipe.write_text(yaml.safe_dump(values, sort_keys=False))
    return recipe, folder, tmp_path / "out"


def omib(files, *words, command="cross-validate"):
    """Run the command; its exit code."""
    recipe, folder, out = files
    given = [command, str(recipe), "--input", str(folder), "--out", str(out), "--threads", "1", "--quiet", *words]
    with pytest.raises(SystemExit) as end:
        app.main(given)
    return end.value.code


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_sample_is_predicted_once_in_each_repeat_and_results_are_in_every_form(files, capsys):
    out = files[2]
    assert omib(files, "--folds", "4", "--repeats", "2", "--methods", "omib,concat", "--json") == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert [(row["variant"], row["runs"]) for row in table["rows"][:2]] == [("omib", 8), ("concat", 8)]
    assert table["rows"][1]["difference"]["n"] == 8
    assert table["rows"][1]["difference"]["standard_error"] > 0.0
    assert [each["samples"] for each in table["pooled"]["omib"]] == [40, 40]
    assert {path.suffix for path in out.glob("rows.*")} == {".md", ".csv", ".json", ".png", ".html"}
    found = rows(out / "rows" / "predictions.csv")
    for variant in ("omib", "concat"):
        for repeat in ("1", "2"):
            own = [row for row in found if (row["variant"], row["repeat"]) == (variant, repeat)]
            assert sorted(row["id"] for row in own) == [f"p{row:02d}" for row in range(40)]
    truth = label_frame().set_index("id")["y"]
    assert all(row["label"] == truth[row["id"]] for row in found)
    right = [row["label"] == row["prediction"] for row in found if (row["variant"], row["repeat"]) == ("omib", "1")]
    assert table["pooled"]["omib"][0]["metrics"]["accuracy"]["value"] == pytest.approx(sum(right) / 40)
    assert all(float(row["probability_sick"]) + float(row["probability_well"]) == pytest.approx(1) for row in found)
    folds = rows(out / "rows" / "folds.csv")
    assert len(folds) == 80
    assert {(row["id"], row["repeat"], row["fold"]) for row in folds} == {
        (row["id"], row["repeat"], row["fold"]) for row in found
    }
    assert not list(out.rglob("report.html"))


def test_what_is_missing_is_made_again_with_equal_results_and_the_rest_is_left_alone(files):
    out = files[2]
    words = ("--folds", "3")
    assert omib(files, *words) == 0
    before, models = (out / "rows" / "predictions.csv").read_text(), sorted(out.rglob("model.safetensors"))
    stamps = {path: path.stat().st_mtime_ns for path in models}
    shutil.rmtree(models[1].parent)
    (out / "rows" / "predictions.csv").unlink()
    assert omib(files, "--collect", *words) == 0
    assert len(rows(out / "rows" / "predictions.csv")) < 40
    assert omib(files, *words) == 0
    assert (out / "rows" / "predictions.csv").read_text() == before
    assert {path for path in models if path.stat().st_mtime_ns != stamps[path]} == {models[1]}


def test_processes_that_share_the_work_find_the_same(files, tmp_path):
    assert omib(files, "--folds", "3") == 0
    alone = (files[2] / "rows" / "predictions.csv").read_text()
    shared = (*files[:2], tmp_path / "two")
    assert omib(shared, "--folds", "3", "--jobs", "2") == 0
    assert (tmp_path / "two" / "rows" / "predictions.csv").read_text() == alone


def test_a_listed_command_is_a_run_that_the_collection_finds(files, capsys):
    import shlex

    assert omib(files, "--folds", "2", "--list") == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    with pytest.raises(SystemExit) as end:
        app.main(lines[0][1:])
    assert end.value.code == 0
    capsys.readouterr()
    assert omib(files, "--folds", "2", "--collect", "--json") == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert (table["rows"][0]["runs"], table["rows"][0]["missing"]) == (1, ["seed 0, fold 2: not run yet"])
    assert table["pooled"]["omib"] == []


def test_compare_takes_folds_and_makes_the_same_cells(files, capsys):
    assert omib(files, "--folds", "2", "--methods", "concat", "--json") == 0
    found = json.loads(capsys.readouterr().out)["tables"]
    made = {path: path.stat().st_mtime_ns for path in files[2].rglob("model.safetensors")}
    assert omib(files, "--folds", "2", "--methods", "concat", "--json", "--reference", "concat", command="compare") == 0
    assert json.loads(capsys.readouterr().out)["tables"] == found
    assert {path: path.stat().st_mtime_ns for path in files[2].rglob("model.safetensors")} == made


def test_simple_models_stand_in_the_tables_and_are_fitted_once_for_all_methods(files, capsys, monkeypatch):
    from omib_cli.evaluation import references

    words = ("--folds", "2", "--methods", "concat", "--references", "constant,linear,modalities")
    assert omib(files, *words, "--json") == 0
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    names = ["most frequent class", "logistic regression"]
    names += [f"logistic regression on {one} alone" for one in ("rna", "protein")]
    assert [(row["variant"], row["runs"]) for row in table["rows"]] == [("concat", 2), *((name, 2) for name in names)]
    assert table["rows"][2]["difference"]["n"] == 2
    found = rows(files[2] / "rows" / "predictions.csv")
    assert sorted(row["id"] for row in found if row["variant"] == names[1]) == [f"p{row:02d}" for row in range(40)]
    assert set(names) <= {row["variant"] for row in rows(files[2] / "rows.csv")}
    monkeypatch.setattr(references, "fitted_scores", None)  # a second fit fails
    assert omib(files, *words, "--json", "--collect") == 0
    assert json.loads(capsys.readouterr().out)["tables"] == [table]
    assert omib(files, *words[:4], "--references", "none", "--json") == 0
    assert [row["variant"] for row in json.loads(capsys.readouterr().out)["tables"][0]["rows"]] == ["concat"]


def test_what_is_in_a_held_out_fold_changes_no_simple_model(files, capsys):
    """A marker of the class in the first fold: what was fitted to the others has not seen it."""
    words = ("--folds", "2", "--methods", "concat", "--references", "linear")
    assert omib(files, *words) == 0
    own = {row["id"] for row in rows(files[2] / "rows" / "folds.csv") if row["fold"] == "1"}
    before = {row["id"]: row for row in rows(files[2] / "rows" / "predictions.csv") if row["variant"] != "concat"}
    path = files[1] / "rna.csv"
    lines = path.read_text().splitlines()
    changed = [line for line in lines if line.split(",")[0] in own]
    assert changed, "no line is of the fold: this tests nothing"
    path.write_text("\n".join(_swollen(line) if line in changed else line for line in lines) + "\n")
    assert omib(files, *words) == 0
    after = {row["id"]: row for row in rows(files[2] / "rows" / "predictions.csv") if row["variant"] != "concat"}
    moved = {one for one in before if before[one]["probability_sick"] != after[one]["probability_sick"]}
    assert moved & own
    assert all(row["fold"] == "1" or row["id"] not in own for row in after.values())


def _swollen(line):
    """A row of a table with its first value ten times as large."""
    name, first, *rest = line.split(",")
    return ",".join([name, str(float(first) * 10), *rest])


def test_a_failed_fold_is_named_with_its_reason(files, capsys):
    assert omib(files, "--folds", "2", "--set", "train.optimiser.lr=1e30") == 0
    assert "omib: seed 0, fold 2: failed (training diverged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--folds", "1"], 2, "1 folds divide nothing"),
        (["--folds", "2", "--repeats", "0"], 2, "no repeat, no result"),
        (["--folds", "21"], 3, "more folds than samples of class 'sick'"),
        (["--folds", "2", "--methods", "conact"], 2, "did you mean 'concat'"),
        (["--folds", "2", "--references", "lineal"], 2, "no such reference"),
        (["--folds", "2", "--set", "train.select=best"], None, "validation"),
        (["--folds", "2", "--within", "train", "--set", "data.labels.split=null"], 2, "gives no split"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(files, capsys, words, code, said):
    found = omib(files, *words)
    assert found == code if code is not None else found in (2, 3, 4)
    assert said in capsys.readouterr().err
    assert not list(files[2].rglob("model.safetensors"))


@pytest.mark.parametrize("within", ["all", "train"])
def test_published_utterances_are_divided_by_video(tmp_path, capsys, within):
    save(tmp_path / "d", "mosi.pkl", mag_bert())
    recipe = tmp_path / "mosi.yaml"
    values = mosi_recipe({"audio": "conv1d", "visual": "conv1d"}).resolved() | {"name": "mosi"}
    recipe.write_text(yaml.safe_dump(values | {"evaluate": {"references": []}}, sort_keys=False))
    files = (recipe, tmp_path / "d", tmp_path / "out")
    assert omib(files, "--folds", "2", "--methods", "concat", "--within", within) == 0
    found = rows(tmp_path / "out" / "mosi" / "predictions.csv")
    assert len(found) == len({row["id"] for row in found}) == {"all": 21, "train": 15}[within]
    videos = [{row["group"] for row in found if row["fold"] == fold} for fold in "12"]
    assert all(videos)
    assert not videos[0] & videos[1]
    said = {"all": "all 21 samples are pooled", "train": "6 samples of the test split"}
    assert said[within] in capsys.readouterr().err


def test_features_that_were_trained_with_labels_of_the_fold_are_refused(tmp_path, capsys):
    recipe = tmp_path / "mosi.yaml"
    recipe.write_text(yaml.safe_dump(mosi_recipe({"text": "mlp", "audio": "mlp"}).resolved(), sort_keys=False))
    assert omib((recipe, published_folder(tmp_path / "d"), tmp_path / "out"), "--folds", "2") == 3
    assert "were trained with labels of the test split" in capsys.readouterr().err


def test_a_source_that_divides_its_data_itself_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        app.main(["cross-validate", "sim-i", "--out", str(tmp_path / "out")])
    assert end.value.code == 2
    assert "the source simulation divides its data itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"), [(["--repeats", "2"], "--folds K says"), (["--folds", "2", "--seeds", "2"], "--repeats R")]
)
def test_compare_refuses_options_that_contradict_each_other(files, capsys, words, said):
    assert omib(files, "--methods", "concat", *words, command="compare") == 2
    assert said in capsys.readouterr().err
