"""Tables that cannot be used: each says what is wrong, where, and what to do, with exit code 3 (2 for the recipe)."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from table_data import ROWS, frame, label_frame, numbers, read, table_recipe, write_tables

from omib_cli.errors import DataError, OmibError, RecipeError
from omib_cli.sources.tables import TablesSource


def refusal(folder, kind: type[OmibError] = DataError, task: str = "classification", **data) -> str:
    """The message with which a plan is refused."""
    with pytest.raises(kind) as caught:
        TablesSource(table_recipe(task, **data), folder).plan()
    assert caught.value.exit_code == (2 if kind is RecipeError else 3)
    return str(caught.value)


def rna(**cells) -> pd.DataFrame:
    """The table of RNA with whole columns replaced."""
    return frame(numbers(3), "r").assign(**cells)


def labels(**columns) -> pd.DataFrame:
    return label_frame().assign(**columns)


def test_missing_file_suggests_the_nearest_name(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "rna.csv").rename(tmp_path / "rna2.csv")
    message = refusal(tmp_path)
    assert "no file 'rna.csv'" in message
    assert "did you mean 'rna2.csv'" in message


def test_missing_input_folder_and_none_given(tmp_path):
    with pytest.raises(DataError, match="no such input folder"):
        TablesSource(table_recipe(), tmp_path / "nowhere")
    with pytest.raises(RecipeError) as caught:
        TablesSource(table_recipe(), None)
    assert "--input" in str(caught.value)


def test_anomalies_are_not_looked_for_in_tables(tmp_path):
    assert "task.kind" in refusal(write_tables(tmp_path), RecipeError, task="anomaly")


def test_missing_column_suggests_the_nearest_name(tmp_path):
    message = refusal(write_tables(tmp_path), labels={"files": "labels.csv", "id": "id", "column": "yy"})
    assert "no column 'yy'" in message
    assert "labels.csv" in message
    assert "did you mean 'y'" in message


def test_pattern_without_a_match(tmp_path):
    tables = {
        "rna": {"files": "rna.csv", "id": "id", "columns": ["rr*"]},
        "protein": {"files": "protein.csv", "id": "id"},
    }
    assert "no column like 'rr*'" in refusal(write_tables(tmp_path), tables=tables)


def test_missing_npz_array_and_pickled_objects(tmp_path):
    write_tables(tmp_path)
    np.savez(tmp_path / "rna.npz", genes=numbers(3), id=np.array([f"p{row:02d}" for row in range(ROWS)]))
    tables = {
        "rna": {"files": "rna.npz", "id": "id", "key": "gene"},
        "protein": {"files": "protein.csv", "id": "id"},
    }
    assert "did you mean 'genes'" in refusal(tmp_path, tables=tables)
    np.savez(tmp_path / "rna.npz", gene=numbers(3), id=np.array([{"a": 1}] * ROWS, dtype=object))
    assert "plain arrays" in refusal(tmp_path, tables=tables)
    np.savez(tmp_path / "rna.npz", gene=numbers(3), id=np.array(["p01"]))
    assert "arrays of different lengths" in refusal(tmp_path, tables=tables)


def test_a_word_among_numbers_is_located(tmp_path):
    table = rna().astype({"r1": object})
    table.loc[6, "r1"] = "oops"
    message = refusal(write_tables(tmp_path, table))
    assert "rna.csv, row 7, column 'r1'" in message
    assert "'oops'" in message


def test_infinity_is_located(tmp_path):
    table = rna()
    table.loc[4, "r2"] = np.inf
    message = refusal(write_tables(tmp_path, table), impute="mean")
    assert "infinite" in message
    assert "row 5 (id 'p04'), column 'r2'" in message


def test_missing_values_are_counted_located_and_the_way_out_named(tmp_path):
    table = rna()
    table.loc[[4, 9], "r2"] = np.nan
    message = refusal(write_tables(tmp_path, table))
    assert "2 missing values, in 2 samples" in message
    assert "row 10 (id 'p09')" in message or "row 5 (id 'p04')" in message
    assert "data.impute" in message


@pytest.mark.parametrize("which", ["rna", "labels"])
def test_duplicated_ids_are_named(tmp_path, which):
    tables = {"rna": rna(), "labels": label_frame()}
    tables[which].loc[1, "id"] = "p07"
    message = refusal(write_tables(tmp_path, **tables))
    assert "1 duplicated id" in message
    assert "p07" in message
    assert f"{which}.csv" in message


def test_a_modality_of_zero_columns(tmp_path):
    assert "zero columns" in refusal(write_tables(tmp_path, rna()[["id"]]))


def test_constant_columns_are_counted_and_named(tmp_path):
    message = refusal(write_tables(tmp_path, rna(r1=2.0)), constant="refuse")
    assert "1 of 3 columns are constant" in message
    assert "r1" in message
    assert "data.constant: drop" in message
    assert "every column" in refusal(write_tables(tmp_path, rna(r0=1.0, r1=2.0, r2=3.0)))


def test_one_class_in_training(tmp_path):
    message = refusal(write_tables(tmp_path, labels=labels(y=label_frame().split)))
    assert "one label only" in message
    assert "'train' in all 20 samples" in message


def test_a_class_that_training_never_sees(tmp_path):
    bad = label_frame()
    bad.loc[0, "y"] = "strange"
    message = refusal(write_tables(tmp_path, labels=bad))
    assert "not in the training split" in message
    assert "'strange' (1 sample)" in message


@pytest.mark.parametrize(("value", "task"), [("inf", "regression"), ("high", "regression"), ("inf", "classification")])
def test_labels_that_cannot_be_learnt(tmp_path, value, task):
    y = [value if row == 3 else str(row % 2) for row in range(ROWS)]
    message = refusal(write_tables(tmp_path, labels=labels(y=y)), task=task)
    assert value in message
    assert "labels.csv" in message


def test_fractions_are_no_classes(tmp_path):
    assert "regression" in refusal(write_tables(tmp_path, labels=labels(y=np.linspace(0, 1, ROWS))))


def test_no_label_at_all(tmp_path):
    assert "no sample has a label" in refusal(write_tables(tmp_path, labels=labels(y="NA")))


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (["train"] * ROWS, "test 0"),
        (["test"] * ROWS, "train 0"),
        (["train"] + ["test"] * (ROWS - 1), "train 1"),
        (["train"] * (ROWS - 2) + ["tset", ""], "'tset' (1 sample), '' (1 sample)"),
    ],
)
def test_splits_that_leave_nothing_to_learn_or_test_or_mean_nothing(tmp_path, split, words):
    assert words in refusal(write_tables(tmp_path, labels=labels(split=split)))


def test_a_given_split_that_cuts_a_group(tmp_path):
    options = {"files": "labels.csv", "id": "id", "column": "y", "split": "split", "group": "patient"}
    message = refusal(write_tables(tmp_path), labels=options)
    assert "cuts 10 groups" in message
    assert "'g0' (train 2, test 2)" in message


def test_nothing_says_which_split(tmp_path):
    options = {"files": "labels.csv", "id": "id", "column": "y"}
    assert "data.split.by" in refusal(write_tables(tmp_path), RecipeError, labels=options)
    assert "data.labels.group" in refusal(write_tables(tmp_path), RecipeError, labels=options, split={"by": "group"})


def test_unequal_lengths_cannot_be_joined_by_row(tmp_path):
    message = refusal(write_tables(tmp_path, rna()[:30]), join="row")
    assert "labels 40, rna 30, protein 40" in message


def test_rows_joined_by_position_must_not_contradict_their_ids(tmp_path):
    message = refusal(write_tables(tmp_path, rna()[::-1]), join="row")
    assert "rna.csv, row 1" in message
    assert "'p39'" in message


def test_labelled_samples_that_no_table_knows(tmp_path):
    message = refusal(write_tables(tmp_path, rna()[2:], frame(numbers(2, 1), "q")[2:]))
    assert "2 labelled samples have no modality" in message
    assert "p00, p01" in message


def test_tables_whose_ids_are_written_otherwise(tmp_path):
    message = refusal(write_tables(tmp_path, rna(id=[f"P{row}" for row in range(ROWS)])))
    assert "no id of 'rna' has a label" in message
    assert "'P0'" in message


def test_joining_by_id_needs_ids(tmp_path):
    tables = {"rna": {"files": "rna.csv"}, "protein": {"files": "protein.csv", "id": "id"}}
    assert "data.tables.rna.id" in refusal(write_tables(tmp_path), RecipeError, tables=tables)


def test_two_modalities_of_the_same_columns(tmp_path):
    tables = {name: {"files": "rna.csv", "id": "id"} for name in ("one", "two")}
    assert "read the same columns" in refusal(write_tables(tmp_path), tables=tables)


def damaged(folder, content: bytes, name: str = "rna.csv") -> str:
    write_tables(folder)
    (folder / name).write_bytes(content)
    tables = {"rna": {"files": name, "id": "id"}, "protein": {"files": "protein.csv", "id": "id"}}
    return refusal(folder, tables=tables)


def test_damaged_files(tmp_path):
    text = rna().to_csv(index=False).encode()
    lines = text.decode().splitlines()
    assert "truncated or damaged" in damaged(tmp_path, gzip.compress(text)[:-200], "rna.csv.gz")
    assert "truncated or damaged" in damaged(tmp_path, text, "rna.csv.gz")
    assert "not UTF-8" in damaged(tmp_path, text.replace(b"p05", b"p\xff5"))
    assert "empty" in damaged(tmp_path, b"")
    assert "different lengths" in damaged(tmp_path, "\n".join([*lines[:5], lines[5] + ",1.0", *lines[6:]]).encode())
    short = "\n".join([*lines[:5], lines[5].rpartition(",")[0], *lines[6:]]).encode()
    assert "line 6" in damaged(tmp_path, short)
    assert "header and the first row" in damaged(tmp_path, text.partition(b",")[2])
    assert "plain arrays" in damaged(tmp_path, b"no archive", "rna.npz")
    np.savez(tmp_path / "whole.npz", x=numbers(3))
    assert "damaged" in damaged(tmp_path, (tmp_path / "whole.npz").read_bytes()[:-60], "rna.npz")
    for name in ("rna.h5ad", "rna.h5mu"):
        assert name in damaged(tmp_path, b"no hdf5", name)


def test_files_of_one_table_with_other_columns(tmp_path):
    write_tables(tmp_path)
    rna()[["id", "r0", "r2", "r1"]].to_csv(tmp_path / "rna_test.csv", index=False)
    tables = {
        "rna": {"files": {"train": "rna.csv", "test": "rna_test.csv"}, "id": "id"},
        "protein": {"files": "protein.csv", "id": "id"},
    }
    message = refusal(tmp_path, tables=tables)
    assert "different columns" in message
    assert "column 1 is 'r2'" in message


def test_feature_names_that_do_not_fit(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "names.txt").write_text("A\nB\n")
    tables = {
        "rna": {"files": "rna.csv", "id": "id", "feature_names": "names.txt"},
        "protein": {"files": "protein.csv", "id": "id"},
    }
    assert "2 names" in refusal(tmp_path, tables=tables)


def test_a_first_line_of_numbers_under_header_true_is_mentioned(tmp_path):
    table = numbers(3)
    np.savetxt(tmp_path / "r.csv", np.vstack([table[:1] + 1, table]), delimiter=",")
    write_tables(tmp_path)
    tables = {"rna": {"files": "r.csv"}, "protein": {"files": "protein.csv", "id": "id"}}
    _, _, source = read(tmp_path, table_recipe(join="row", tables=tables))
    assert any("header: false" in warning for warning in source.warnings)


def test_files_that_contradict_each_other_about_the_split(tmp_path):
    write_tables(tmp_path)
    rna()[:20].to_csv(tmp_path / "one.csv", index=False)
    rna()[20:].to_csv(tmp_path / "two.csv", index=False)
    tables = {
        "rna": {"files": {"train": "one.csv", "test": "two.csv"}, "id": "id"},
        "protein": {"files": "protein.csv", "id": "id"},
    }
    assert "'p00' is in two splits" in refusal(tmp_path, tables=tables)
