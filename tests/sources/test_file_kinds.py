"""Files are read by what they hold; what is not read says what is, and every option is honoured or refused."""

from __future__ import annotations

import gzip
import zipfile
from datetime import date

import h5py
import numpy as np
import openpyxl
import pandas as pd
import pytest
import scipy.io
from pydantic import ValidationError
from table_data import ROWS, frame, label_frame, numbers, read, table_recipe, write_tables

from omib_cli.errors import DataError
from omib_cli.sources.tables import TablesSource

PROTEIN = {"files": "protein.csv", "id": "id"}


def recipe(name: str, **options):
    return table_recipe(tables={"rna": {"files": name, "id": "id", **options}, "protein": PROTEIN})


def refusal(folder, name: str, **options) -> str:
    if not (folder / "labels.csv").exists():
        write_tables(folder)
    with pytest.raises(DataError) as caught:
        TablesSource(recipe(name, **options), folder).plan()
    assert caught.value.exit_code == 3
    return str(caught.value)


# ---- by content


@pytest.mark.parametrize("kind", ["parquet", "xlsx", "npz", "gzip"])
def test_a_file_is_what_it_holds_and_that_is_said(tmp_path, kind):
    write_tables(tmp_path)
    table = frame(numbers(3), "r")
    {
        "parquet": lambda: table.to_parquet(tmp_path / "x"),
        "xlsx": lambda: table.to_excel(tmp_path / "x.xlsx", index=False),
        "npz": lambda: np.savez(tmp_path / "x.npz", values=numbers(3), id=table.id.to_numpy(str)),
        "gzip": lambda: (tmp_path / "x").write_bytes(gzip.compress(table.to_csv(index=False).encode())),
    }[kind]()
    next(tmp_path.glob("x*")).rename(tmp_path / "rna.csv")
    plan, _, source = read(tmp_path, recipe("rna.csv"))
    assert plan.modalities["rna"].shape == (3,)
    assert [kind in said and "as its content says" in said for said in source.warnings] == [True]


def test_text_is_read_whatever_its_ending(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "rna.csv").rename(tmp_path / "rna.dat")
    plan, _, source = read(tmp_path, recipe("rna.dat"))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]
    assert source.warnings == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, "save it as .xlsx"),
        (b"BZh91AY" + b"\0" * 99, "gzip"),
        (b"\xfd7zXZ\0\0", "gzip"),
        (b"ARROW1\0\0", "Parquet"),
        (gzip.compress(b"RDX3\nX\n\0\0\0", mtime=0), "write.csv"),
        (gzip.compress(b"\1\0\2\0" * 99, mtime=0), "gunzip"),
        (b"\x80\x04\x95\0\0\0\0", "one of these formats"),
    ],
)
def test_what_is_not_read_is_named_with_what_is(tmp_path, content, words):
    (tmp_path / "table.csv").write_bytes(content)
    message = refusal(tmp_path, "table.csv")
    assert "a kind that is not read" in message
    assert words in message
    for format_ in ("CSV", "Parquet", "Excel", "MATLAB", "NPY", "NPZ", "h5ad", "h5mu"):
        assert format_ in message


def test_other_archives_and_other_hdf5_files_say_what_they_hold(tmp_path):
    with zipfile.ZipFile(tmp_path / "rna.zip", "w") as archive:
        archive.writestr("table.csv", "id,a\n")
    assert "table.csv" in refusal(tmp_path, "rna.zip")
    with h5py.File(tmp_path / "rna.h5", "w") as file:
        file["measurements"] = numbers(3)
    assert "measurements" in refusal(tmp_path, "rna.h5")


@pytest.mark.parametrize("ending", ["parquet", "xlsx", "mat", "npy"])
def test_damaged_files_of_every_kind_name_themselves(tmp_path, ending):
    (tmp_path / f"rna.{ending}").write_bytes(b"no such file")
    assert f"rna.{ending}" in refusal(tmp_path, f"rna.{ending}")
    frame(numbers(3), "r").to_parquet(tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-50])
    assert "damaged" in refusal(tmp_path, "cut.parquet")


def test_an_array_alone_is_joined_by_row(tmp_path):
    write_tables(tmp_path)
    np.save(tmp_path / "rna.npy", numbers(3))
    tables = {"rna": {"files": "rna.npy"}, "protein": {"files": "protein.csv"}}
    plan, block, _ = read(tmp_path, table_recipe(tables=tables, join="row", standardise="none"))
    rows = [int(one[1:]) for one in plan.ids]
    np.testing.assert_array_equal(block.values["rna"], numbers(3)[rows].astype(np.float32))
    np.save(tmp_path / "rna.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "not a plain array" in refusal(tmp_path, "rna.npy")


# ---- options that a kind of file does not have


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("rna.csv", {"key": "X"}, "has no arrays"),
        ("rna.csv", {"sheet": "one"}, "has no sheets"),
        ("rna.npz", {"decimal": ","}, "has no cells of text"),
        ("rna.parquet", {"key": "X"}, "has no arrays"),
    ],
)
def test_options_that_a_kind_of_file_does_not_have_are_refused(tmp_path, name, options, words):
    write_tables(tmp_path)
    np.savez(tmp_path / "rna.npz", values=numbers(3))
    frame(numbers(3), "r").to_parquet(tmp_path / "rna.parquet")
    assert words in refusal(tmp_path, name, **options)


# ---- numbers in another notation


def test_one_mark_is_not_two_things():
    with pytest.raises(ValidationError, match="the same mark"):
        recipe("rna.csv", decimal=",", thousands=",")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("1,5", '`decimal: ","`'),
        ("1.234.567,5", '`decimal: ","` and `thousands: "."`'),
        ("1 234 567", '`thousands: " "`'),
        ("1,234,567", '`thousands: ","`'),
        ("1'234.5", '`thousands: "\'"`'),
    ],
)
def test_the_refusal_of_another_notation_names_the_options_that_read_it(tmp_path, cell, said):
    table = frame(numbers(3), "r").assign(r1=cell)
    write_tables(tmp_path, table)
    message = refusal(tmp_path, "rna.csv")
    assert "numbers in another notation" in message
    assert said in message


@pytest.mark.parametrize("cell", ["1.5", "12.34", "1.23,5"])
def test_marks_in_the_wrong_place_are_refused_not_dropped(tmp_path, cell):
    table = frame(numbers(3), "r").astype({"r1": object})
    table["r1"] = [f"{row}.000,25" for row in range(1, ROWS + 1)]
    table.loc[4, "r1"] = cell
    write_tables(tmp_path, table[["id", "r1"]])
    message = refusal(tmp_path, "rna.csv", decimal=",", thousands=".")
    assert "row 5" in message
    assert repr(cell) in message


def test_a_point_under_a_decimal_comma_is_refused(tmp_path):
    write_tables(tmp_path)
    assert "than the recipe says" in refusal(tmp_path, "rna.csv", decimal=",")


def test_labels_may_have_a_decimal_comma(tmp_path):
    labels = label_frame().assign(y=[f"{row},5" for row in range(ROWS)])
    write_tables(tmp_path, labels=labels)
    said = {"files": "labels.csv", "id": "id", "column": "y", "split": "split", "decimal": ","}
    _, block, _ = read(tmp_path, table_recipe("regression", labels=said))
    assert sorted(block.labels) == [row + 0.5 for row in range(ROWS)]


# ---- spreadsheets


def book(path, rows, sheet="data", **more):
    made = openpyxl.Workbook()
    made.active.title = sheet
    for name, cells in {sheet: rows, **more}.items():
        page = made[name] if name in made.sheetnames else made.create_sheet(name)
        for row in cells:
            page.append(row)
    made.save(path)


def cells():
    table = frame(numbers(3), "r")
    return [list(table.columns), *table.to_numpy().tolist()]


def test_a_sheet_is_chosen_by_name_or_is_the_only_one_with_content(tmp_path):
    book(tmp_path / "rna.xlsx", cells(), empty=[])
    write_tables(tmp_path)
    plan, _, source = read(tmp_path, recipe("rna.xlsx"))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]
    assert source.warnings == []
    book(tmp_path / "rna.xlsx", cells(), notes=[["of", "interest"]])
    assert "which sheet is the table?" in refusal(tmp_path, "rna.xlsx")
    assert "did you mean 'data'" in refusal(tmp_path, "rna.xlsx", sheet="date")


def test_what_spreadsheets_do_to_tables_is_refused_or_said(tmp_path):
    rows = cells()
    book(tmp_path / "rna.xlsx", [*rows[:5], [], *rows[5:]])
    assert "row 6" in refusal(tmp_path, "rna.xlsx")
    book(tmp_path / "rna.xlsx", [*rows[:5], [rows[5][0], "=1+1", *rows[5][2:]], *rows[6:]])
    assert "formula without its value" in refusal(tmp_path, "rna.xlsx")
    book(tmp_path / "rna.xlsx", [*rows[:5], [rows[5][0], "#REF!", *rows[5][2:]], *rows[6:]])
    assert "'#REF!'" in refusal(tmp_path, "rna.xlsx")
    book(tmp_path / "rna.xlsx", [["id", "r0", "r0", "r2"], *rows[1:]])
    assert "columns of the same name" in refusal(tmp_path, "rna.xlsx")
    book(tmp_path / "rna.xlsx", [["id", date(2026, 3, 1), "r1", "r2"], *rows[1:]])
    _, _, source = read(tmp_path, recipe("rna.xlsx"))
    assert any("1-Mar" in said for said in source.warnings)


def test_ids_and_classes_of_a_sheet_are_its_text_and_whole_numbers(tmp_path):
    table, labels = frame(numbers(3), "r", list(range(100, 100 + ROWS))), label_frame()
    write_tables(tmp_path, protein=frame(numbers(2, 1), "q", list(range(100, 100 + ROWS))))
    table.to_excel(tmp_path / "rna.xlsx", index=False)
    labels.assign(id=table.id, y=[row % 2 for row in range(ROWS)]).to_excel(tmp_path / "labels.xlsx", index=False)
    said = {"files": "labels.xlsx", "id": "id", "column": "y", "split": "split"}
    plan, _, _ = read(
        tmp_path, table_recipe(tables={"rna": {"files": "rna.xlsx", "id": "id"}, "protein": PROTEIN}, labels=said)
    )
    assert sorted(plan.ids) == [str(one) for one in range(100, 100 + ROWS)]
    assert plan.classes == ["0", "1"]


# ---- MATLAB


def test_labels_of_a_matlab_file_may_be_cells_of_text(tmp_path):
    write_tables(tmp_path)
    column = np.array(label_frame().y, dtype=object)[:, np.newaxis]
    ids = np.array(label_frame().id, dtype=object)[np.newaxis]
    scipy.io.savemat(tmp_path / "l.mat", {"status": column, "who": ids})
    labels = {"files": "l.mat", "id": "who", "column": "status"}
    plan, block, _ = read(tmp_path, table_recipe(labels=labels, split={"by": "stratified"}))
    assert plan.classes == ["sick", "well"]
    assert all((int(one[1:]) % 2 == 1) == (label == 0) for one, label in zip(plan.ids, block.labels, strict=True))


def test_a_structure_is_no_table(tmp_path):
    scipy.io.savemat(tmp_path / "rna.mat", {"data": {"values": numbers(3)}, "ids": np.zeros((ROWS, 1))})
    assert "not an array of numbers" in refusal(tmp_path, "rna.mat", key="data")


# ---- Parquet


def test_an_index_without_a_name_is_a_column_without_a_name(tmp_path):
    write_tables(tmp_path)
    table = frame(numbers(3), "r")
    table.set_index("id").rename_axis(None).to_parquet(tmp_path / "rna.parquet")
    plan, _, _ = read(tmp_path, recipe("rna.parquet", id=0))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]
    assert len(plan.ids) == ROWS
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "rna.parquet"), table.set_index("id").rename_axis(None))
