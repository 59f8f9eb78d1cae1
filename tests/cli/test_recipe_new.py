"""omib recipe new: from files to a recipe that runs, or to a question that names what there is to choose from."""

from __future__ import annotations

import json
import shutil

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import soundfile
from media_data import crema_d
from real import real_data
from table_data import frame, label_frame, numbers
from table_data import write_tables as write_all

from omib_cli.cli import app
from omib_cli.recipe.load import load_recipe

RNA_PROTEIN = ["--modality", "rna=rna.csv", "--modality", "protein=protein.csv"]


def plain_labels():
    """Labels whose patients are on no two sides of a split, since there is none."""
    return label_frame().drop(columns="split")


def write_tables(folder, rna=None, protein=None, labels=None):
    return write_all(folder, rna, protein, plain_labels() if labels is None else labels)


@pytest.fixture
def omib(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            app.main(list(map(str, arguments)))
        shown = capsys.readouterr()
        return end.value.code, shown.out, shown.err

    return run


@pytest.fixture
def new(omib):
    """Run ``omib recipe new`` and read what it wrote."""

    def run(*arguments):
        code, out, err = omib("recipe", "new", *arguments)
        assert code == 0, err
        return load_recipe("mine.yaml"), out, err

    return run


@pytest.fixture
def refused(omib, tmp_path):
    """Run ``omib recipe new`` where it has to refuse; returns what it says. Nothing is written."""

    def run(*arguments):
        code, out, err = omib("recipe", "new", *arguments)
        assert code in (2, 3)
        assert out == ""
        assert "Traceback" not in err
        assert not list(tmp_path.glob("*.yaml"))
        return err

    return run


def test_two_commands_lead_from_files_to_a_report(omib, tmp_path):
    write_tables(tmp_path)
    code, out, _ = omib("recipe", "new", *RNA_PROTEIN, "--label", "labels.csv:y", "-o", "mine.yaml")
    assert code == 0
    explain, run = (line.split()[1:] for line in out.splitlines()[-2:])
    assert explain == ["recipe", "explain", "mine.yaml"]
    assert run == ["run", "mine.yaml", "--input", ".", "--out", "mine"]
    assert omib(*explain)[0] == 0
    fast = ["--set", "warmup.epochs=1", "--set", "train.epochs=1", "--set", "information.estimator=gaussian"]
    assert omib(*run, *fast)[0] == 0
    assert (tmp_path / "mine" / "report" / "report.html").is_file()


def test_what_was_found_and_decided_is_said(new, tmp_path):
    write_tables(tmp_path)
    recipe, out, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y")
    for part in (
        "rna.csv: 40 rows, 3 columns (numbers)",
        "ids: column 'id'",
        "well 20, sick 20",
        "10 groups in 'patient'",
    ):
        assert part in out
    assert recipe.data.labels.group == "patient"
    assert recipe.data.split.by == "group"
    assert recipe.task.kind == "classification"


def test_components_keep_their_scale_and_it_is_said(new, tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"s{row:03}" for row in range(150)]
    hidden = rng.normal(size=(150, 30)) * np.linspace(5, 0.5, 30)
    mixed = hidden @ np.linalg.qr(rng.normal(size=(40, 40)))[0][:30] + 3 + rng.normal(size=40)
    centred = mixed - mixed.mean(0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    for name, values in (("raw", mixed), ("pca", (left * size)[:, :25])):
        pd.DataFrame(values, ids).round(6).rename(columns=lambda k: f"c{k}").to_csv(f"{name}.csv", index_label="id")
    pd.DataFrame({"id": ids, "y": rng.integers(2, size=150)}).to_csv("y.csv", index=False)
    recipe, out, _ = new("--modality", "raw=raw.csv", "--modality", "pca=pca.csv", "--label", "y.csv:y")
    assert {name: table.standardise for name, table in recipe.data.tables.items()} == {"raw": None, "pca": "block"}
    assert "25 columns (components)" in out
    assert "scaling of pca" in out


def test_a_given_split_is_found_and_can_be_turned_off(new, refused, tmp_path):
    write_tables(tmp_path, labels=label_frame())
    said = refused(*RNA_PROTEIN, "--label", "labels.csv:y")
    assert "(column 'split') has groups (column 'patient') on two sides" in said
    recipe, _, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y", "--split", "none")
    assert (recipe.data.split.by, recipe.data.labels.group) == ("group", "patient")
    (tmp_path / "mine.yaml").unlink()
    recipe, _, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y", "--group", "none")
    assert (recipe.data.split.by, recipe.data.labels.split, recipe.data.labels.group) == ("given", "split", None)
    (tmp_path / "mine.yaml").unlink()
    recipe, _, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y", "--split", "none", "--group", "none")
    assert recipe.data.split.by == "stratified"


def test_two_given_splits_are_asked_about(refused, new, tmp_path):
    labels = label_frame().rename(columns={"split": "fold"}).assign(own_split=["train", "train", "test", "test"] * 10)
    write_tables(tmp_path, labels=labels.drop(columns="patient"))
    assert "fold, own_split" in refused(*RNA_PROTEIN, "--label", "labels.csv:y")
    recipe, _, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y", "--split", "own_split")
    assert recipe.data.labels.split == "own_split"


def test_the_task_follows_the_label_and_can_be_said(new, tmp_path):
    write_tables(tmp_path)
    recipe, out, _ = new(*RNA_PROTEIN, "--label", "labels.csv:age")
    assert recipe.task.kind == "regression"
    assert (recipe.task.centre, recipe.task.scale) == (50.0, 18.0)
    assert "fractions" in out
    (tmp_path / "mine.yaml").unlink()
    labels = plain_labels().assign(y=np.arange(40) % 3)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    assert new(*RNA_PROTEIN, "--label", "labels.csv:y")[0].task.kind == "classification"
    (tmp_path / "mine.yaml").unlink()
    assert new(*RNA_PROTEIN, "--label", "labels.csv:y", "--task", "regression")[0].task.kind == "regression"


def test_several_possible_labels_are_listed(refused, tmp_path):
    write_tables(tmp_path)
    said = refused(*RNA_PROTEIN, "--label", "labels.csv")
    assert "which column is the label?" in said
    for part in ("y (2 names)", "patient (10 names)", "age (40 different numbers)"):
        assert part in said


def test_a_mistyped_label_is_met_with_the_right_one(refused, tmp_path):
    write_tables(tmp_path, labels=plain_labels().rename(columns={"y": "status"}))
    assert "did you mean 'status'?" in refused(*RNA_PROTEIN, "--label", "labels.csv:statsu")


def test_ids_that_do_not_fit_are_shown(refused, tmp_path):
    write_tables(tmp_path, rna=frame(numbers(3), "r", [f"TCGA-{row}" for row in range(40)]))
    said = refused(*RNA_PROTEIN, "--label", "labels.csv:y")
    assert "'TCGA-0', 'TCGA-1'" in said
    assert "'p00', 'p01'" in said


def test_ids_that_are_only_written_otherwise_are_named(refused, tmp_path):
    write_tables(tmp_path, rna=frame(numbers(3), "r", [f"P{row:02d}" for row in range(40)]))
    assert "differ in how they are written: 'P00'" in refused(*RNA_PROTEIN, "--label", "labels.csv:y")


def test_samples_in_columns_are_recognised(new, tmp_path):
    write_tables(tmp_path)
    upright, _, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y")
    (tmp_path / "mine.yaml").unlink()
    pd.read_csv(tmp_path / "rna.csv", index_col=0).T.to_csv(tmp_path / "rna.csv")
    recipe, out, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y")
    assert recipe.data.tables["rna"].transpose
    assert "its samples stand in columns" in out
    assert recipe.fusion == upright.fusion


def test_ids_are_found_by_what_the_files_share_whatever_they_are_called(new, tmp_path):
    table = frame(numbers(3), "r").rename(columns={"id": "case"})
    table.insert(0, "plate", [f"w{row}" for row in range(40)])
    write_tables(tmp_path, rna=table, protein=frame(numbers(2, 1), "q").rename(columns={"id": ""}))
    recipe, _, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y")
    assert (recipe.data.tables["rna"].id, recipe.data.tables["protein"].id, recipe.data.labels.id) == ("case", 0, "id")


def test_ids_keep_their_zeros(new, refused, tmp_path):
    ids = [f"{row:03d}" for row in range(40)]
    write_tables(tmp_path, frame(numbers(3), "r", ids), frame(numbers(2, 1), "q", ids), plain_labels().assign(id=ids))
    assert new(*RNA_PROTEIN, "--label", "labels.csv:y")[0].data.join == "id"
    (tmp_path / "mine.yaml").unlink()
    frame(numbers(3), "r", [str(row) for row in range(40)]).to_csv(tmp_path / "rna.csv", index=False)
    assert "written" in refused(*RNA_PROTEIN, "--label", "labels.csv:y")


def test_files_without_ids_are_joined_by_row_and_it_is_said(new, refused, tmp_path):
    bare = [one.drop(columns="id") for one in (frame(numbers(3), "r"), frame(numbers(2, 1), "q"), plain_labels())]
    write_tables(tmp_path, *bare)
    recipe, out, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y")
    assert recipe.data.join == "row"
    assert "matched by row" in out
    assert "join: row  #" in (tmp_path / "mine.yaml").read_text()
    (tmp_path / "mine.yaml").unlink()
    write_tables(tmp_path, bare[0][:-1], *bare[1:])
    assert "rna 39 rows" in refused(*RNA_PROTEIN, "--label", "labels.csv:y")


def test_tables_without_header_and_with_a_file_for_each_split_are_read(new, tmp_path):
    labels = np.arange(40) % 2
    for name, rows in (("tr", slice(0, 30)), ("te", slice(30, 40))):
        np.savetxt(tmp_path / f"x_{name}.csv", numbers(3)[rows], delimiter=",")
        np.savetxt(tmp_path / f"y_{name}.csv", labels[rows])
    recipe, out, _ = new("--modality", "x=x_tr.csv,x_te.csv", "--label", "y_tr.csv,y_te.csv")
    assert recipe.data.tables["x"].files == {"train": "x_tr.csv", "test": "x_te.csv"}
    assert not recipe.data.tables["x"].header
    assert (recipe.data.labels.column, recipe.data.split.by, recipe.data.join) == (0, "given", "row")
    assert "1 20, 0 20" in out or "0 20, 1 20" in out


def test_a_split_that_names_do_not_say_is_asked_for(refused, new, tmp_path):
    write_tables(tmp_path)
    shutil.copy(tmp_path / "rna.csv", tmp_path / "other.csv")
    assert "which split is this file of?" in refused("--modality", "rna=rna.csv,other.csv", "--label", "labels.csv:y")


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("row", np.arange(40), "counts the rows"),
        ("sample_no", np.arange(40) * 7 % 40 + 100, "looks like an id"),
        ("drawn", 20240101 + np.arange(40) % 28, "looks like a date"),
        ("again", np.arange(40) % 2 + 5.0, "has one value for each class"),
    ],
)
def test_columns_that_are_no_features_are_left_out_and_named(new, tmp_path, name, values, why):
    write_tables(tmp_path, rna=frame(numbers(3), "r").assign(**{name: values}))
    recipe, out, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y")
    assert recipe.data.tables["rna"].exclude == [name]
    assert f"{name} ({why})" in out


def test_missing_values_are_filled_in_and_constant_columns_dropped(new, tmp_path):
    rna = frame(numbers(3), "r").assign(still=1.0)
    rna.loc[3, "r1"] = np.nan
    write_tables(tmp_path, rna=rna)
    recipe, out, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y")
    assert (recipe.data.impute, recipe.data.constant) == ("median", "drop")
    assert "0.62% missing" in out
    assert "1 constant columns" in out


def test_patterns_tell_modalities_of_one_file_apart(new, tmp_path):
    both = frame(numbers(3), "r").assign(q0=numbers(1, 1)[:, 0], q1=numbers(1, 2)[:, 0], y=label_frame()["y"])
    both.to_csv(tmp_path / "all.csv", index=False)
    recipe, _, _ = new("--modality", "rna=all.csv:r*", "--modality", "protein=all.csv:q*", "--label", "all.csv:y")
    assert recipe.data.tables["protein"].columns == ["q*"]


def test_features_beside_the_label_are_listed_since_some_may_be_known_only_with_it(new, tmp_path):
    labels = plain_labels()
    write_tables(tmp_path, labels=labels.assign(age=labels["age"].sample(frac=1, random_state=0).to_numpy()))
    _, out, _ = new("--modality", "clinic=labels.csv", *RNA_PROTEIN, "--label", "labels.csv:y")
    assert "clinic is the file of the labels, and all its columns are features (age)" in out
    (tmp_path / "mine.yaml").unlink()
    assert "is the file of the labels" not in new("--modality", "c=labels.csv:age", "--label", "labels.csv:y")[1]


def test_an_array_of_a_file_of_several_is_asked_for_in_the_words_of_the_command(refused, tmp_path):
    np.savez(tmp_path / "x.npz", a=numbers(3), b=numbers(2, 1))
    write_tables(tmp_path, labels=plain_labels().drop(columns="id"))
    assert "x.npz:NAME" in refused("--modality", "a=x.npz", "--label", "labels.csv:y")


def test_text_is_used_where_it_has_few_categories(new, tmp_path):
    rng = np.random.default_rng(0)
    rna = frame(numbers(3), "r").assign(
        sex=rng.choice(["f", "m"], 40),
        ward=[f"w{row // 2}" for row in range(40)],
        seen=["2024-01-01", "2024-01-02"] * 20,
        patient=[f"g{row // 8}" for row in range(40)],
    )
    write_tables(tmp_path, rna=rna)
    recipe, out, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y")
    assert recipe.data.tables["rna"].encode == {"sex": "onehot"}
    assert "text of rna" in out


def test_counts_and_copies_are_noted(new, tmp_path):
    counts = np.random.default_rng(0).poisson(4.0, (40, 12))
    counts[7] = counts[8]
    write_tables(tmp_path, rna=frame(counts, "r"))
    recipe, out, _ = new(*RNA_PROTEIN, "--label", "labels.csv:y")
    assert "12 columns (counts)" in out
    assert "1 row like another row" in out
    assert [step.kind for step in recipe.data.tables["rna"].preprocess] == ["log1p"]
    assert "preprocess rna  log1p: 12 columns (counts)" in out


def test_a_recipe_whose_data_cannot_be_prepared_yet_is_written_to_be_changed(omib, tmp_path):
    labels = plain_labels().assign(patient=["g0"] * 20 + ["g1"] * 20, y=["sick"] * 20 + ["well"] * 20)
    write_tables(tmp_path, labels=labels)
    code, out, err = omib("recipe", "new", *RNA_PROTEIN, "--label", "labels.csv:y", "--group", "patient")
    assert code == 3
    assert "mine.yaml is written, and needs a change" in err
    assert "the training split has one label only" in err
    assert load_recipe("mine.yaml").data.split.by == "group"
    assert "omib run mine.yaml" in out


def test_a_file_that_is_there_is_kept(omib, tmp_path):
    write_tables(tmp_path)
    (tmp_path / "mine.yaml").write_text("precious")
    assert omib("recipe", "new", *RNA_PROTEIN, "--label", "labels.csv:y")[0] == 2
    assert (tmp_path / "mine.yaml").read_text() == "precious"


def test_json_has_what_was_found_and_why(omib, tmp_path):
    write_tables(tmp_path)
    code, out, _ = omib("recipe", "new", *RNA_PROTEIN, "--label", "labels.csv:y", "--json")
    found = json.loads(out)
    assert (code, found["out"], found["found"]["samples"]) == (0, "mine.yaml", 40)
    assert {"split", "task", "network"} <= set(found["reasons"])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "a recipe for which files?"),
        (["."], "which file is which modality?"),
        (RNA_PROTEIN, "where are the labels?"),
        (["--modality", "rna", "--label", "labels.csv:y"], "--modality names a modality and its file"),
        (["--modality", "r na=rna.csv", "--label", "labels.csv:y"], "not a name for a modality"),
        (["--modality", "rna=nan.csv", "--label", "labels.csv:y"], "no file 'nan.csv'"),
        (["nowhere", *RNA_PROTEIN, "--label", "labels.csv:y"], "nowhere"),
        ([*RNA_PROTEIN, "--label", "labels.csv:y", "--split", "patient"], "values that name no split"),
    ],
)
def test_what_is_not_said_is_asked_for(refused, tmp_path, arguments, part):
    write_tables(tmp_path)
    assert part in refused(*arguments)


def cells(path, count=60):
    """An h5mu file of two modalities; one of them knows the type and the donor of each cell."""
    kinds = np.arange(count) % 3
    ids = [f"cell{row}" for row in range(count)]
    parts = {}
    for place, (name, width) in enumerate((("rna", 12), ("adt", 4))):
        values = numbers(width, place, count) + kinds[:, None]
        parts[name] = anndata.AnnData(values.astype("f4"), obs=pd.DataFrame(index=ids))
        parts[name].var_names = [f"{name}{column}" for column in range(width)]
    parts["rna"].obs["type"] = np.array(["B", "NK", "T"])[kinds]
    parts["rna"].obs["donor"] = [f"d{row // 6}" for row in range(count)]
    with mudata.set_options(pull_on_update=False):
        mudata.MuData(parts).write(path)
    return path


def test_an_h5mu_file_says_its_modalities_and_its_labels(new, refused, tmp_path):
    cells(tmp_path / "cells.h5mu")
    assert "rna:type (3 names)" in refused("cells.h5mu")
    recipe, _, _ = new("cells.h5mu", "--label", "type")
    assert list(recipe.modalities) == ["rna", "adt"]
    assert (recipe.data.labels.key, recipe.data.labels.group) == ("rna/obs", "donor")
    (tmp_path / "mine.yaml").unlink()
    assert "rna, adt" in refused("--modality", "rna=cells.h5mu", "--label", "cells.h5mu:type")


def test_clips_are_labelled_by_a_table(new, refused, tmp_path):
    folder = tmp_path / "clips"
    (folder / "wav").mkdir(parents=True)
    for row in range(12):
        sound = np.random.default_rng(row).normal(0, 0.1, 8000)
        soundfile.write(folder / "wav" / f"clip{row}.wav", sound, 8000)
    table = pd.DataFrame({"clip": [f"clip{row}" for row in range(12)], "mood": ["up", "down"] * 6})
    table["speaker"] = [f"s{row // 2}" for row in range(12)]
    table.to_csv(folder / "moods.csv", index=False)
    assert "what are the labels of the clips?" in refused(folder)
    recipe, _, _ = new(folder, "--label", "moods.csv:mood")
    assert (recipe.data.source, dict(recipe.data.files)) == ("media", {"audio": "wav/{id}.wav"})
    assert (recipe.data.labels.id, recipe.data.split.by) == ("clip", "group")
    (tmp_path / "mine.yaml").unlink()
    recipe, _, _ = new("--modality", "audio=clips/wav", "--label", "clips/moods.csv:mood", "--group", "none")
    assert recipe.data.split.by == "stratified"
    (tmp_path / "mine.yaml").unlink()
    table.assign(clip=[f"other{row}" for row in range(12)]).to_csv(folder / "moods.csv", index=False)
    said = refused(folder, "--label", "moods.csv:mood")
    assert "'clip0', 'clip1'" in said
    assert "'other0', 'other1'" in said


def test_the_names_of_a_collection_say_everything(new, tmp_path):
    crema_d(tmp_path / "crema", real_data("ravdess_clips"))
    recipe, out, _ = new("crema")
    assert (recipe.data.source, recipe.data.split.by) == ("crema-d", "group")
    assert list(recipe.modalities) == ["audio", "video"]
    assert "5 groups in 'actor'" in out
    (tmp_path / "mine.yaml").unlink()
    recipe, out, _ = new(real_data("ravdess_clips"))
    assert (recipe.data.names, list(recipe.modalities)) == ("ravdess", ["audio"])
    assert "video    left out: 1 of 6 clips have it" in out


def test_real_tables_become_recipes(new, refused, tmp_path):
    rosmap = real_data("rosmap")
    three = [f"--modality=m{one}={one}_tr.csv.gz,{one}_te.csv.gz" for one in (1, 2, 3)]
    recipe, out, _ = new(rosmap, *three, "--label", "labels_tr.csv,labels_te.csv")
    assert "351 with a label, matched by row" in out
    assert "feature_names: FILE" in (tmp_path / "mine.yaml").read_text()
    bundled = load_recipe("rosmap")
    assert recipe.modalities["m1"].model_dump() == bundled.modalities["mrna"].model_dump()
    assert (recipe.fusion, recipe.train, recipe.warmup) == (bundled.fusion, bundled.train, bundled.warmup)
    (tmp_path / "mine.yaml").unlink()
    brca = real_data("brca_survival")
    recipe, out, _ = new(brca, "--modality", "rna=RNAseq_EigengeneMatrix.csv", "--label", "clinical.csv:OS_Status")
    assert recipe.data.tables["rna"].transpose
    (tmp_path / "mine.yaml").unlink()
    recipe, out, _ = new(brca, "--modality=tmb=TMB.csv", "--modality=cnv=CNV.csv", "--label", "clinical.csv:OS_Status")
    assert "LIVING 497, DECEASED 86; always saying LIVING is right in 85%" in out
    (tmp_path / "mine.yaml").unlink()
    views = [f"--modality=v{one}=view{one}.csv.gz" for one in range(1, 6)]
    recipe, out, _ = new(real_data("multiview") / "msrc_v5", *views, "--label", "labels.csv.gz")
    assert (recipe.data.labels.column, recipe.data.labels.id, recipe.task.kind) == ("label", "id", "classification")


def times_of(dead: tuple[object, object]):
    """Labels that are times, with whether the event took place at them."""
    months = np.round(np.random.default_rng(2).exponential(20, 40) + 0.1, 2)
    return pd.DataFrame(
        {"id": label_frame()["id"], "months": months, "status": [dead[row % 3 == 0] for row in range(40)]}
    )


@pytest.mark.parametrize(
    ("values", "said", "event"),
    [
        (("LIVING", "DECEASED"), "status", {"column": "status", "of": "DECEASED"}),
        (("0:LIVING", "1:DECEASED"), "status", {"column": "status", "of": "1:DECEASED"}),
        ((0, 1), "status", "status"),
        ((False, True), "status", "status"),
        (("a", "b"), "status=b", {"column": "status", "of": "b"}),
    ],
)
def test_times_with_an_event_are_survival(new, omib, tmp_path, values, said, event):
    write_tables(tmp_path, labels=times_of(values))
    recipe, out, _ = new(*RNA_PROTEIN, "--label", "labels.csv:months", "--event", said)
    assert recipe.task.kind == "survival"
    assert recipe.data.labels.model_dump()["event"] == event
    assert recipe.data.split.by == "stratified"
    assert "14 events" in out
    assert recipe.modalities.keys() == {"rna", "protein"}
    code, out, _ = omib("recipe", "explain", "mine.yaml")
    assert code == 0
    assert "event in 'status'" in out
    code, _, err = omib("prepare", "mine.yaml", "--input", ".")
    assert code == 0, err


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (("a", "b"), ["--event", "status"], "--event status=b"),
        ((0, 1), ["--event", "state"], "state"),
        ((0, 1), ["--event", "months"], "the time and the event are two columns"),
        ((0, 1), ["--task", "survival"], "--event COLUMN"),
        ((0, 1), ["--event", "status", "--task", "regression"], "--event is for survival"),
        (("a", "b"), ["--event", "status=c"], "which value means the event?"),
    ],
)
def test_an_event_that_is_not_understood_is_asked_for(refused, tmp_path, values, options, said):
    write_tables(tmp_path, labels=times_of(values))
    assert said in " ".join(refused(*RNA_PROTEIN, "--label", "labels.csv:months", *options).split())
