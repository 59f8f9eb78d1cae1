"""Tables that are legal and odd: read as their author meant them, refused, or said; never misread in silence."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from table_data import ROWS, frame, label_frame, numbers, read, table_recipe, write_tables

from omib_cli.errors import DataError, OmibError, RecipeError
from omib_cli.sources.cells import MISSING
from omib_cli.sources.tables import TablesSource

IDS = [f"p{row:02d}" for row in range(ROWS)]
LABELS = {"files": "labels.csv", "id": "id", "column": "y", "split": "split"}
MADE = {"files": "labels.csv", "id": "id", "column": "y"}
STRATIFIED = {"by": "stratified", "test": 0.25}
PROTEIN = {"files": "protein.csv", "id": "id"}


def refusal(folder: Path, kind: type[OmibError] = DataError, task: str = "classification", **data) -> str:
    with pytest.raises(kind) as caught:
        TablesSource(table_recipe(task, **data), folder).plan()
    assert caught.value.exit_code == (2 if kind is RecipeError else 3)
    return str(caught.value)


def classes(folder: Path, written: list[object], **columns) -> tuple[list[str], dict[str, str], list[str]]:
    """Names of the classes, the class of each sample by id, and the warnings."""
    labels = label_frame(len(written)).assign(y=written, **columns)
    plan, block, source = read(
        write_tables(
            folder, frame(numbers(3, rows=len(written)), "r"), frame(numbers(2, 1, len(written)), "q"), labels
        ),
        table_recipe(labels=MADE, split=STRATIFIED),
    )
    own = {one: plan.classes[int(label)] for one, label in zip(plan.ids, block.labels, strict=True)}
    return plan.classes, own, source.warnings


def cycle(*written: str) -> list[str]:
    return [written[row % len(written)] for row in range(ROWS)]


# ---- text is not taken for numbers


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["900000000000207008", "900000000000207003", "733073007"], None),
        (["2_0", "20", "1", "0"], None),
        (["01", "02", "10"], None),
        (["1.0", "2.00", "10"], ["1", "2", "10"]),
        (["1e2", "20"], ["20", "100"]),
        (["-1", "+1"], ["-1", "1"]),
        (["٣", "3"], None),
    ],
)
def test_labels_that_differ_as_text_are_classes_that_differ(tmp_path, written, expected):
    found, own, _ = classes(tmp_path, cycle(*written))
    assert set(found) == set(expected or written)
    assert found == (expected or found)
    if expected is None:
        assert all(own[one] == written[row % len(written)] for row, one in enumerate(IDS))


def test_long_codes_stay_apart_in_npz_and_h5ad_too(tmp_path):
    write_tables(tmp_path)
    codes = np.array([900000000000207008, 900000000000207003])[np.arange(ROWS) % 2]
    np.savez(tmp_path / "l.npz", id=np.array(IDS), y=codes)
    data = anndata.AnnData(np.zeros((ROWS, 1), np.float32), obs=pd.DataFrame({"y": codes}, index=IDS))
    data.write_h5ad(tmp_path / "l.h5ad")
    for labels in ({"files": "l.npz", "id": "id", "column": "y"}, {"files": "l.h5ad", "column": "y"}):
        plan, _, _ = read(tmp_path, table_recipe(labels=labels, split=STRATIFIED))
        assert plan.classes == ["900000000000207003", "900000000000207008"]


@pytest.mark.parametrize(
    "written",
    [
        ["01", "1"],
        ["Tumor", "tumor"],
        ["a b", "a  b"],
        ["a_b", "a b"],
        ["TRUE", "True"],
        ["1", "1.0", "x"],
        ["é", "e\u0301"],
    ],
)
def test_classes_that_may_be_one_written_in_two_ways_are_refused(tmp_path, written):
    write_tables(tmp_path, labels=label_frame().assign(y=cycle(*written)))
    message = refusal(tmp_path, labels=MADE, split=STRATIFIED)
    assert "classes that may be the same" in message
    assert f"{written[0]!r} and" in message


@pytest.mark.parametrize(
    "spoilt", ["9.00E+17", "9.00000000000207e+17", "900000000000207000.0", "1E+05", "#REF!", "#NAME?", "########"]
)
@pytest.mark.parametrize("column", ["id", "y", "patient"])
def test_cells_that_a_spreadsheet_has_spoilt_are_refused(tmp_path, spoilt, column):
    labels = label_frame().astype(str)
    labels.loc[5, column] = spoilt
    write_tables(tmp_path, labels=labels)
    message = refusal(tmp_path, labels={**MADE, "group": "patient"}, split={"by": "group", "test": 0.3})
    assert "spreadsheet has spoilt" in message
    assert spoilt in message


def test_values_may_be_written_with_few_digits(tmp_path):
    labels = label_frame().assign(y=[f"{row}.5e+03" for row in range(ROWS)])
    _, block, _ = read(write_tables(tmp_path, labels=labels), table_recipe("regression", labels=MADE, split=STRATIFIED))
    assert sorted(block.labels) == [1000 * row + 500 for row in range(ROWS)]


@pytest.mark.parametrize("written", ["1_0", "1,5", "٣", "1e999"])
def test_values_that_only_python_takes_for_numbers_are_refused(tmp_path, written):
    write_tables(tmp_path, labels=label_frame().assign(y=cycle("1", "2", written)))
    assert repr(written) in refusal(tmp_path, task="regression", labels=MADE, split=STRATIFIED)


def test_groups_keep_their_leading_zeros_and_one_group_is_not_written_in_two_ways(tmp_path):
    groups = [f"{row // 4:02d}" for row in range(ROWS)]
    options = {"labels": {**MADE, "group": "patient"}, "split": {"by": "group", "test": 0.3}}
    plan, _, _ = read(write_tables(tmp_path, labels=label_frame().assign(patient=groups)), table_recipe(**options))
    assert set(plan.groups) == set(groups)
    for other in ("1", "P1", " 01.0"):
        groups[7] = other
        groups[11] = "p1"
        write_tables(tmp_path, labels=label_frame().assign(patient=groups))
        assert "groups that may be the same" in refusal(tmp_path, **options)


@pytest.mark.parametrize(("theirs", "ours"), [("007", "7"), ("7.0", "7"), ("S7", "s7")])
def test_ids_that_fit_but_for_their_spelling_are_refused_not_masked(tmp_path, theirs, ours):
    ids = [*IDS[1:], theirs]
    labels = label_frame().assign(id=[*IDS[1:], ours])
    write_tables(tmp_path, frame(numbers(3), "r", ids), frame(numbers(2, 1), "q", ids), labels)
    message = refusal(tmp_path)
    assert "the same but for how they are written" in message
    assert f"{theirs!r}" in message


# ---- missing is not a value, in one list for everything


@pytest.mark.parametrize(
    "written", ["#N/A", "NA", "n/a", "NaN", "null", "<NA>", "#N/A N/A", "1.#QNAN", "?", ".", "-nan", "NaT"]
)
def test_missing_is_written_in_the_same_ways_for_labels_groups_ids_and_features(tmp_path, written):
    assert written.casefold() in MISSING
    labels = label_frame().assign(y=[written if row < 4 else "ab"[row % 2] for row in range(ROWS)])
    plan, _, source = read(write_tables(tmp_path, labels=labels), table_recipe(labels=MADE, split=STRATIFIED))
    assert plan.classes == ["a", "b"]
    assert plan.facts["dropped_rows"]["rows of the labels without a label"] == 4
    assert any(repr(written) in warning and "4 rows" in warning for warning in source.warnings)
    for column, words in (("patient", "samples without a group"), ("id", "samples without an id")):
        bad = label_frame().astype(str)
        bad.loc[7, column] = written
        write_tables(tmp_path, labels=bad)
        message = refusal(tmp_path, labels={**MADE, "group": "patient"}, split={"by": "group", "test": 0.3})
        assert words in message
        assert repr(written) in message
    table = frame(numbers(3), "r").astype({"r1": object})
    table.loc[4, "r1"] = written
    write_tables(tmp_path, table)
    assert "1 missing value" in refusal(tmp_path)
    plan, _, _ = read(tmp_path, table_recipe(impute="mean"))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]


def test_the_label_none_may_be_a_class_and_is_refused(tmp_path):
    write_tables(tmp_path, labels=label_frame().assign(y=cycle("none", "mild", "severe")))
    message = refusal(tmp_path, labels=MADE, split=STRATIFIED)
    assert "'none' may be a class" in message


def test_nullable_columns_of_obs_are_labels_and_missing_ones_are_none(tmp_path):
    write_tables(tmp_path)
    y = pd.array([None if row < 4 else row % 2 for row in range(ROWS)], dtype="Int64")
    anndata.AnnData(np.zeros((ROWS, 1), np.float32), obs=pd.DataFrame({"y": y}, index=IDS)).write_h5ad(
        tmp_path / "l.h5ad"
    )
    plan, block, _ = read(tmp_path, table_recipe(labels={"files": "l.h5ad", "column": "y"}, split=STRATIFIED))
    assert plan.classes == ["0", "1"]
    assert sorted(plan.ids) == IDS[4:]
    assert all(label == int(one[1:]) % 2 for one, label in zip(plan.ids, block.labels, strict=True))


# ---- one file is one thing


def split_files(folder: Path, train: str, test: str) -> dict:
    write_tables(folder)
    frame(numbers(3), "r")[:30].to_csv(folder / "x.csv", index=False)
    frame(numbers(3), "r")[30:].to_csv(folder / "z.csv", index=False)
    (folder / "link.csv").symlink_to(folder / "x.csv")
    return {"rna": {"files": {"train": train, "test": test}, "id": "id"}, "protein": PROTEIN}


@pytest.mark.parametrize("test", ["x.csv", "./x.csv", "link.csv", "x.csv.gz"])
def test_one_file_is_not_two_splits(tmp_path, test):
    tables = split_files(tmp_path, "x.csv", test)
    assert "the train split and the test split read the same file" in refusal(tmp_path, tables=tables, labels=MADE)


def test_a_copy_of_the_training_values_is_no_test_split(tmp_path):
    tables = split_files(tmp_path, "x.csv", "copy.csv.gz")
    table = frame(numbers(3), "r", [f"x{row}" for row in range(ROWS)])[:30]
    (tmp_path / "copy.csv.gz").write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    assert "hold the same values" in refusal(tmp_path, tables=tables, labels=MADE)


def test_labels_are_not_read_from_one_file_for_two_splits(tmp_path):
    write_tables(tmp_path)
    labels = {**MADE, "files": {"train": "labels.csv", "test": "labels.csv"}}
    assert "read the same file" in refusal(tmp_path, labels=labels)


def both(folder: Path, kind: str) -> str:
    """One file of RNA and protein."""
    table = frame(numbers(3), "r").merge(frame(numbers(2, 1), "q"), on="id")
    name = f"all.{kind}"
    if kind == "npz":
        np.savez(folder / name, X=table.iloc[:, 1:].to_numpy(), id=table.id.to_numpy(str))
    elif kind == "h5ad":
        anndata.AnnData(table.set_index("id").astype(np.float32)).write_h5ad(folder / name)
    else:
        table.to_csv(folder / name, index=False, sep="\t" if "tsv" in kind else ",")
    return name


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "tsv.gz", "npz", "h5ad"])
def test_modalities_of_one_file_share_no_column(tmp_path, kind):
    write_tables(tmp_path)
    name = both(tmp_path, kind)
    ids = {} if kind == "h5ad" else {"id": "id"}
    some = ["3", "4"] if kind == "npz" else ["q*"]
    tables = {"rna": {"files": name, **ids}, "protein": {"files": f"./{name}", **ids, "columns": some}}
    message = refusal(tmp_path, tables=tables)
    assert "read the same columns" in message
    assert ("3, 4" if kind == "npz" else "q0, q1") in message
    tables["rna"]["columns"] = ["0", "1", "2"] if kind == "npz" else ["r*"]
    plan, _, _ = read(tmp_path, table_recipe(tables=tables))
    assert [modality.shape for modality in plan.modalities.values()] == [(3,), (2,)]


def test_modalities_that_are_copies_of_each_other_under_other_names_are_said(tmp_path):
    _, _, source = read(write_tables(tmp_path, protein=frame(numbers(3), "q")))
    assert any("rna and protein have the same values" in warning for warning in source.warnings)


# ---- which column is the label is not guessed


def test_a_label_has_no_default(tmp_path):
    with pytest.raises(ValidationError, match=r"labels\.column"):
        table_recipe(labels={"files": "labels.csv", "id": "id"})


@pytest.mark.parametrize("other", ["id", "group", "split"])
def test_the_label_is_not_the_id_the_group_or_the_split(other):
    with pytest.raises(ValidationError, match="name the same column"):
        table_recipe(labels={**MADE, other: "y"})


def test_a_number_of_the_labels_column_bars_no_feature_of_another_array(tmp_path):
    write_tables(tmp_path)
    np.savez(tmp_path / "d.npz", X=numbers(3), P=numbers(2, 1), y=np.arange(ROWS) % 2, id=np.array(IDS))
    obs = pd.DataFrame({"batch": cycle("u", "v"), "y": cycle("a", "b")}, index=IDS)
    data = anndata.AnnData(numbers(3).astype(np.float32), obs=obs, obsm={"P": numbers(2, 1)})
    data.write_h5ad(tmp_path / "d.h5ad")
    for name, keys, labels in (
        ("d.npz", ("X", "P"), {"key": "y", "column": 0, "id": "id"}),
        ("d.h5ad", ("X", "obsm/P"), {"column": 1}),
    ):
        ids = {"id": "id"} if name == "d.npz" else {}
        tables = {
            modality: {"files": name, "key": key, **ids} for modality, key in zip(("rna", "protein"), keys, strict=True)
        }
        plan, block, _ = read(tmp_path, table_recipe(tables=tables, labels={"files": name, **labels}, split=STRATIFIED))
        assert [modality.shape for modality in plan.modalities.values()] == [(3,), (2,)]
        assert all(label == int(one[1:]) % 2 for one, label in zip(plan.ids, block.labels, strict=True))


def test_a_column_named_as_the_label_is_no_feature_in_another_file_either(tmp_path):
    table = frame(numbers(3), "r").assign(age=label_frame().age)
    recipe = table_recipe("regression", labels={**MADE, "column": "age"}, split=STRATIFIED)
    plan, _, source = read(write_tables(tmp_path, table), recipe)
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]
    assert any("age" in warning and "not used" in warning for warning in source.warnings)


def test_a_mudata_table_names_its_modality(tmp_path):
    write_tables(tmp_path)
    rna = anndata.AnnData(numbers(3).astype(np.float32), obs=label_frame().set_index("id"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mudata announces its next version
        mudata.MuData({"gex": rna}).write_h5mu(tmp_path / "d.h5mu")
    assert "which modality" in refusal(tmp_path, tables={"rna": {"files": "d.h5mu"}, "protein": PROTEIN})
    plan, _, _ = read(tmp_path, table_recipe(tables={"rna": {"files": "d.h5mu", "key": "gex"}, "protein": PROTEIN}))
    assert plan.modalities["rna"].shape == (3,)


def test_columns_that_two_files_share_are_said_and_whole_copies_refused(tmp_path):
    rna, protein = frame(numbers(3), "r"), frame(numbers(2, 1), "q")
    mixed = protein.assign(r1=rna.r1).sample(frac=1.0, random_state=0)
    _, _, source = read(write_tables(tmp_path, rna, mixed))
    assert any("share columns of the same name and values: r1" in warning for warning in source.warnings)
    write_tables(tmp_path, rna, rna[["id", "r2", "r0"]])
    assert "read the same columns" in refusal(tmp_path)


@pytest.mark.parametrize("written", ["-9", "-999", "unknown", "-"])
def test_labels_that_may_mean_missing_are_said(tmp_path, written):
    found, _, said = classes(tmp_path, cycle("1", "2", written))
    assert len(found) == 3
    assert any(repr(written) in warning and "is a label" in warning for warning in said)


def test_values_that_may_mean_missing_are_said(tmp_path):
    table = frame(numbers(3), "r")
    table.loc[:4, "r1"] = -999
    _, _, source = read(write_tables(tmp_path, table))
    assert any("may mean 'missing'" in warning and "r1 (-999 in 5 rows)" in warning for warning in source.warnings)
