"""Rows that stand in another order, are too many, too few or blank, and splits that are not what was asked for."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from table_data import ROWS, frame, label_frame, numbers, read, table_recipe, write_tables

from omib_cli.errors import DataError
from omib_cli.sources.preprocessing import fit
from omib_cli.sources.splits import TEST, made_split, remarks
from omib_cli.sources.tables import TablesSource

IDS = [f"p{row:02d}" for row in range(ROWS)]
MADE = {"files": "labels.csv", "id": "id", "column": "y"}
STRATIFIED = {"by": "stratified", "test": 0.25}
PROTEIN = {"files": "protein.csv", "id": "id"}


def refusal(folder: Path, task: str = "classification", **data) -> str:
    with pytest.raises(DataError) as caught:
        TablesSource(table_recipe(task, **data), folder).plan()
    assert caught.value.exit_code == 3
    return str(caught.value)


def single(folder: Path, name: str, cells: list[object]) -> None:
    """A file of one column, gzipped if its name says so."""
    text = "\n".join([name[0], *map(str, cells)]) + "\n"
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())


# ---- rows stay where they are


@pytest.mark.parametrize("suffix", ["csv", "tsv", "csv.gz"])
def test_a_blank_line_in_one_column_is_a_missing_value_and_shifts_nothing(tmp_path, suffix):
    values = [row + row % 3 / 4 for row in range(ROWS)]
    single(tmp_path, f"r.{suffix}", ["" if row == 14 else value for row, value in enumerate(values)])
    single(tmp_path, f"y.{suffix}", ["" if row == 2 else "ab"[row % 2] for row in range(ROWS)])
    single(tmp_path, f"q.{suffix}", values)
    recipe = table_recipe(
        join="row",
        tables={"rna": {"files": f"r.{suffix}"}, "protein": {"files": f"q.{suffix}"}},
        labels={"files": f"y.{suffix}", "column": "y"},
        split=STRATIFIED,
        standardise="none",
    )
    plan, block, _ = read(tmp_path, recipe)
    rows = [int(one[1:]) for one in plan.ids]
    assert sorted(rows) == [row for row in range(ROWS) if row != 2]
    assert block.values["protein"][:, 0].tolist() == [values[row] for row in rows]
    assert block.values["rna"][:, 0].tolist() == [0.0 if row == 14 else values[row] for row in rows]
    assert block.present["rna"].tolist() == [row != 14 for row in rows]
    assert all(plan.classes[int(label)] == "ab"[row % 2] for row, label in zip(rows, block.labels, strict=True))


@pytest.mark.parametrize("blank", ["", "   "])
def test_a_blank_line_between_rows_of_several_columns_is_refused(tmp_path, blank):
    write_tables(tmp_path)
    lines = (tmp_path / "rna.csv").read_text().splitlines()
    (tmp_path / "rna.csv").write_text("\n".join([*lines[:7], blank, *lines[7:]]) + "\n")
    message = refusal(tmp_path)
    assert "blank lines between the rows" in message
    assert "rna.csv, line 8" in message


def test_blank_lines_at_either_end_and_inside_quotes_are_no_rows(tmp_path):
    labels = label_frame().assign(y=["a\n\nb" if row % 2 else "c" for row in range(ROWS)])
    write_tables(tmp_path, labels=labels)
    for name in ("rna.csv", "labels.csv"):
        (tmp_path / name).write_text("\n\n" + (tmp_path / name).read_text() + "\n\n")
    plan, _, _ = read(tmp_path)
    assert len(plan.ids) == ROWS
    assert plan.classes == ["a\n\nb", "c"]


@pytest.mark.parametrize("extra", [-1, 1])
def test_an_npz_archive_has_as_many_ids_as_rows(tmp_path, extra):
    write_tables(tmp_path)
    ids = np.array([f"p{row:02d}" for row in range(ROWS + extra)])
    np.savez(tmp_path / "r.npz", X=numbers(3), id=ids)
    message = refusal(tmp_path, tables={"rna": {"files": "r.npz", "id": "id"}, "protein": PROTEIN})
    assert "arrays of different lengths" in message
    assert f"{ROWS + extra} values" in message


def test_equal_totals_do_not_hide_that_one_file_has_a_row_of_the_others(tmp_path):
    write_tables(tmp_path)
    tables = {}
    for name, table in (("rna", frame(numbers(3), "r")), ("protein", frame(numbers(2, 1), "q")), ("y", label_frame())):
        cut = 30 if name == "rna" else 29
        rest = table.drop(columns="id")
        rest[:cut].to_csv(tmp_path / f"{name}_tr.csv", index=False)
        rest[cut:].to_csv(tmp_path / f"{name}_te.csv", index=False)
        tables[name] = {"files": {"train": f"{name}_tr.csv", "test": f"{name}_te.csv"}}
    labels = {**tables.pop("y"), "column": "y"}
    for by in ("given", "random"):
        message = refusal(tmp_path, join="row", tables=tables, labels=labels, split={"by": by})
        assert "files of different lengths" in message


def test_ids_of_each_file_are_as_many_as_its_rows(tmp_path):
    write_tables(tmp_path)
    for name, rows, ids in (("a", slice(0, 30), IDS[:29]), ("b", slice(30, ROWS), IDS[29:])):
        np.savez(tmp_path / f"{name}.npz", X=numbers(3)[rows], id=np.array(ids))
    tables = {"rna": {"files": {"train": "a.npz", "test": "b.npz"}, "id": "id"}, "protein": PROTEIN}
    assert "arrays of different lengths" in refusal(tmp_path, tables=tables, labels=MADE)


# ---- nothing is joined by position where ids exist


def without(column: str, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {name: table.rename(columns={"id": column}) for name, table in tables.items()}


@pytest.mark.parametrize("numeric", [True, False])
@pytest.mark.parametrize("named", ["labels", "rna", None])
@pytest.mark.parametrize("gz", ["", ".gz"])
def test_a_column_of_ids_is_compared_and_never_a_feature_under_join_row(tmp_path, numeric, named, gz):
    ids = [str(1000 + row) for row in range(ROWS)] if numeric else IDS
    rna, protein = frame(numbers(3), "r", ids), frame(numbers(2, 1), "q").drop(columns="id")
    labels = label_frame().assign(id=ids)
    for name, table in (("rna", rna), ("protein", protein), ("labels", labels)):
        table.to_csv(tmp_path / f"{name}.csv{gz}", index=False)
    options = {
        "join": "row",
        "tables": {name: {"files": f"{name}.csv{gz}"} for name in ("rna", "protein")},
        "labels": {"files": f"labels.csv{gz}", "column": "y", "split": "split"},
    }
    if named is not None:
        (options["labels"] if named == "labels" else options["tables"]["rna"])["id"] = "id"
    if numeric and named is None:
        assert "looks like an id" in refusal(tmp_path, **options)
    else:
        plan, _, _ = read(tmp_path, table_recipe(**options))
        assert plan.modalities["rna"].features == ["r0", "r1", "r2"]
        if named is not None:
            assert sorted(plan.ids) == ids
    rna[::-1].to_csv(tmp_path / f"rna.csv{gz}", index=False)
    message = refusal(tmp_path, **options)
    assert "samples joined by row have different" in message
    assert ids[-1] in message


def test_ids_beside_the_arrays_of_npz_files_are_compared_under_join_row(tmp_path):
    np.savez(tmp_path / "r.npz", X=numbers(3), names=np.array(IDS))
    np.savez(tmp_path / "q.npz", X=numbers(2, 1), names=np.array(IDS[::-1]))
    np.savez(tmp_path / "y.npz", y=np.arange(ROWS) % 2)
    tables = {"rna": {"files": "r.npz"}, "protein": {"files": "q.npz"}}
    message = refusal(tmp_path, join="row", tables=tables, labels={"files": "y.npz", "column": "y"}, split=STRATIFIED)
    assert "samples joined by row have different values of 'names'" in message


def test_measurements_of_one_name_in_two_files_are_no_ids(tmp_path):
    tables = {"rna": frame(numbers(2), "g"), "protein": frame(numbers(2, 1), "g")}
    write_tables(tmp_path, *(table.drop(columns="id") for table in tables.values()), label_frame().drop(columns="id"))
    files = {name: {"files": f"{name}.csv"} for name in tables}
    plan, _, _ = read(tmp_path, table_recipe(join="row", tables=files, labels={**MADE, "id": None}, split=STRATIFIED))
    assert plan.modalities["protein"].features == ["g0", "g1"]


# ---- the first line, and the first column


def test_a_first_row_taken_for_a_header_is_refused_or_said(tmp_path):
    write_tables(tmp_path)
    single(tmp_path, "y.csv", ["ab"[row % 2] for row in range(ROWS)])
    (tmp_path / "y.csv").write_text("a\n" + (tmp_path / "y.csv").read_text()[2:])
    rest = {"join": "row", "tables": {"rna": {"files": "r.csv"}, "protein": {"files": "q.csv"}}, "split": STRATIFIED}
    for name, columns in (("r.csv", 3), ("q.csv", 2)):
        np.savetxt(
            tmp_path / name, numbers(columns, columns, ROWS + 1), delimiter=",", fmt=["s%g", *["%g"] * (columns - 1)]
        )
    message = refusal(tmp_path, labels={"files": "y.csv", "column": 0}, **rest)
    assert "header: false" in message
    single(tmp_path, "y.csv", ["ab"[row % 2] for row in range(ROWS)])
    _, _, source = read(tmp_path, table_recipe(labels={"files": "y.csv", "column": 0}, **rest))
    assert sum("the first line holds numbers" in warning for warning in source.warnings) == 2


def test_a_name_taken_for_a_label_is_refused(tmp_path):
    write_tables(tmp_path)
    labels = label_frame().assign(y=[row % 2 for row in range(ROWS)])
    labels[["id", "y"]].to_csv(tmp_path / "labels.csv", index=False)
    message = refusal(tmp_path, labels={"files": "labels.csv", "header": False, "id": 0, "column": 1}, split=STRATIFIED)
    assert "header: true" in message


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "Unnamed: 0.1"])
def test_a_column_without_a_name_is_no_feature_and_may_be_the_id(tmp_path, name):
    table = frame(numbers(3), "r")
    table.insert(0, name, range(ROWS))
    plan, _, source = read(write_tables(tmp_path, table))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]
    assert any("without a name" in warning for warning in source.warnings)
    frame(numbers(3), "r").rename(columns={"id": name}).to_csv(tmp_path / "rna.csv", index=False)
    tables = {"rna": {"files": "rna.csv", "id": 0, "columns": ["*"]}, "protein": PROTEIN}
    plan, _, source = read(tmp_path, table_recipe(tables=tables))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]
    assert source.warnings == []


def test_columns_of_the_same_name_are_refused_and_dates_of_genes_said(tmp_path):
    write_tables(tmp_path)
    text = (tmp_path / "rna.csv").read_text()
    (tmp_path / "rna.csv").write_text(text.replace("id,r0,r1,r2", "id,1-Mar,r1,1-Mar"))
    assert "columns of the same name" in refusal(tmp_path)
    (tmp_path / "rna.csv").write_text(text.replace("id,r0,r1,r2", "id,1-Mar,Sep-02,2.31E+13"))
    _, _, source = read(tmp_path)
    assert any("1-Mar, Sep-02, 2.31E+13" in warning for warning in source.warnings)


@pytest.mark.parametrize("written", ["{:.3f}", "1 234,{:.0f}", "1'234.{:.0f}", "{:.0f} %", "1,234,{:.0f}"])
@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_numbers_in_another_notation_are_refused_not_left_out(tmp_path, written, separator):
    table = frame(numbers(3), "r")
    table["r1"] = [written.format(abs(value)).replace(".", "," if written == "{:.3f}" else ".") for value in table.r1]
    write_tables(tmp_path)
    table.to_csv(tmp_path / "rna.csv", sep=separator, index=False)
    message = refusal(tmp_path)
    assert "numbers in another notation" in message
    assert "'r1'" in message


# ---- files of other programs


def test_an_h5ad_of_another_version_names_anndata(tmp_path):
    write_tables(tmp_path)
    anndata.AnnData(numbers(3).astype(np.float32), obs=label_frame().set_index("id")).write_h5ad(tmp_path / "d.h5ad")
    with h5py.File(tmp_path / "d.h5ad", "a") as file:
        file["X"].attrs["encoding-type"] = "of-tomorrow"
    for tables, labels in (
        ({"rna": {"files": "d.h5ad"}, "protein": PROTEIN}, {**MADE, "split": "split"}),
        ({"rna": {"files": "rna.csv", "id": "id"}, "protein": PROTEIN}, {"files": "d.h5ad", "column": "y"}),
    ):
        assert "version of anndata" in refusal(tmp_path, tables=tables, labels=labels)


def test_text_in_obsm_is_left_out_with_a_word_and_an_array_of_text_refused(tmp_path):
    write_tables(tmp_path)
    data = anndata.AnnData(numbers(3).astype(np.float32), obs=label_frame().set_index("id"))
    data.obsm["frame"] = pd.DataFrame({"a": numbers(1)[:, 0], "note": "x"}, index=data.obs_names)
    data.obsm["words"] = np.array([["x", "y"]] * ROWS)
    data.write_h5ad(tmp_path / "d.h5ad")
    plan, _, source = read(
        tmp_path, table_recipe(tables={"rna": {"files": "d.h5ad", "key": "obsm/frame"}, "protein": PROTEIN})
    )
    assert plan.modalities["rna"].features == ["a"]
    assert any("note" in warning for warning in source.warnings)
    message = refusal(tmp_path, tables={"rna": {"files": "d.h5ad", "key": "obsm/words"}, "protein": PROTEIN})
    assert "not an array of numbers" in message


# ---- splits


def test_names_of_splits_are_applied_once(tmp_path):
    said = ["train"] * 20 + ["validation"] * 12 + ["test"] * 8
    names = {"validation": "test", "test": "validation"}
    recipe = table_recipe(split={"names": names})
    plan, _, _ = read(write_tables(tmp_path, labels=label_frame().assign(split=said)), recipe)
    assert np.bincount(plan.split).tolist() == [20, 8, 12]
    assert sorted(plan.ids[28:]) == IDS[20:32]


def test_names_of_splits_say_nothing_of_files_that_are_for_a_split(tmp_path):
    write_tables(tmp_path)
    label_frame()[:30].to_csv(tmp_path / "a.csv", index=False)
    label_frame()[30:].to_csv(tmp_path / "b.csv", index=False)
    labels = {**MADE, "files": {"train": "a.csv", "test": "b.csv"}}
    plan, _, _ = read(tmp_path, table_recipe(labels=labels, split={"names": {"test": "train"}}))
    assert np.bincount(plan.split).tolist() == [30, 0, 10]


def test_a_column_of_splits_does_not_contradict_the_files_it_stands_in(tmp_path):
    write_tables(tmp_path)
    label_frame()[:30].to_csv(tmp_path / "a.csv", index=False)
    label_frame()[30:].to_csv(tmp_path / "b.csv", index=False)
    labels = {**MADE, "files": {"train": "a.csv", "test": "b.csv"}, "split": "split"}
    assert "contradicts the files" in refusal(tmp_path, labels=labels)


def test_a_share_far_from_the_one_asked_for_is_said(tmp_path):
    labels = label_frame().assign(patient=["big" if row < 37 else f"s{row}" for row in range(ROWS)])
    options = {"labels": {**MADE, "group": "patient"}, "split": {"by": "group", "test": 0.2}}
    plan, _, source = read(write_tables(tmp_path, labels=labels), table_recipe(**options))
    assert np.bincount(plan.split).tolist() == [37, 0, 3]
    assert any("0.2 was asked for, and 3 of 40 samples (0.075)" in warning for warning in source.warnings)
    _, _, source = read(write_tables(tmp_path), table_recipe(labels=MADE, split={"by": "stratified", "test": 0.2}))
    assert source.warnings == []


def test_a_validation_share_far_from_the_one_asked_for_is_said(tmp_path):
    side = ["test" if row < 8 else "train" for row in range(ROWS)]
    labels = label_frame().assign(split=side, patient=["t" if row < 8 else "ab"[row > 13] for row in range(ROWS)])
    options = {"labels": {**MADE, "split": "split", "group": "patient"}, "split": {"validation": 0.4}}
    _, _, source = read(write_tables(tmp_path, labels=labels), table_recipe(**options))
    assert any("data.split.validation: a share of 0.4" in warning for warning in source.warnings)


@pytest.mark.parametrize("seed", range(3))
def test_classes_that_the_test_split_lacks_are_said(seed):
    kinds = np.repeat([0, 1, 2, 3], [40, 40, 2, 2])
    split = made_split(range(len(kinds)), kinds, 0.2, seed)
    absent = [kind for kind in range(4) if not np.any(kinds[split == TEST] == kind)]
    found = remarks(split, kinds.astype(float), ["a", "b", "rare", "scarce"], test=0.2, validation=None)
    assert absent == [2, 3]
    assert found == ["classes without a sample in the test split: 'rare' (2 samples), 'scarce' (2 samples)"]


# ---- numbers


@pytest.mark.parametrize(
    "column",
    [
        np.where(np.arange(ROWS) % 3, 0.3, 0.1 * 3),
        np.where(np.arange(ROWS) % 3, -0.3, -0.1 * 3),
        np.where(np.arange(ROWS) % 3, 0.3, np.nextafter(np.float32(0.3), np.float32(1))).astype(np.float32),
        np.where(np.arange(ROWS) % 3, 1e9, 1e9 + 1e-6),
        np.where(np.arange(ROWS) % 3, 1e-30, np.nextafter(1e-30, 1)),
    ],
)
def test_columns_that_differ_by_rounding_are_constant(tmp_path, column):
    table = frame(numbers(3), "r").assign(r1=column)
    write_tables(tmp_path, table)
    assert "1 of 3 columns are constant" in refusal(tmp_path, constant="refuse")
    plan, _, _ = read(tmp_path)
    assert plan.modalities["rna"].features == ["r0", "r2"]
    np.savez(tmp_path / "r.npz", X=table.iloc[:, 1:].to_numpy(), id=np.array(IDS))
    tables = {"rna": {"files": "r.npz", "id": "id"}, "protein": PROTEIN}
    assert "1 of 3 columns are constant" in refusal(tmp_path, tables=tables, constant="refuse")
    _, block, _ = read(tmp_path, table_recipe(constant="keep"))
    assert np.abs(block.values["rna"]).max() < 10


def test_columns_that_differ_by_more_than_rounding_are_not_constant():
    values = 1e6 + np.arange(ROWS, dtype=float)[:, np.newaxis]
    fitted = fit(values, np.arange(ROWS), ["time"], table_recipe().data, "x")
    assert fitted.kept.tolist() == [0]


def test_a_test_value_far_outside_training_is_said(tmp_path):
    table = frame(numbers(3), "r")
    table.loc[0, "r1"] = 1e12
    _, _, source = read(write_tables(tmp_path, table))
    assert any("far outside what training has" in warning and "'r1'" in warning for warning in source.warnings)
