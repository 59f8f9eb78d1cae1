"""Features that are the label, the group or the row's number are refused; what may be a measurement never is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real import real_data
from table_data import ROWS, frame, label_frame, numbers, read, table_recipe, write_tables

from omib_cli.errors import DataError
from omib_cli.sources.categories import Written
from omib_cli.sources.leaks import Known, leaks, row_numbers
from omib_cli.sources.table_files import FeatureTable
from omib_cli.sources.tables import TablesSource

PROTEIN = {"files": "protein.csv", "id": "id"}
LABELS = {"files": "labels.csv", "id": "id", "column": "y", "split": "split"}
GROUPED = {"labels": {"files": "labels.csv", "id": "id", "column": "y", "group": "patient"}, "split": {"by": "group"}}
AGE = {"labels": {**LABELS, "column": "age"}}
SICK = (label_frame().y == "sick").to_numpy()
OLD = label_frame().age.to_numpy()
ROW = np.arange(ROWS)


def with_column(folder: Path, column) -> Path:
    return write_tables(folder, frame(numbers(3), "r").assign(x=column))


def refusal(folder: Path, task: str = "classification", **data) -> str:
    with pytest.raises(DataError) as caught:
        TablesSource(table_recipe(task, **data), folder).plan()
    return str(caught.value)


def made(values: np.ndarray, counts: list[int] | None = None, texts: dict[int, list[str]] | None = None):
    names = [f"f{column}" for column in range(values.shape[1])]
    written = {place: Written(categories, None) for place, categories in (texts or {}).items()}
    rows = {
        "count": len(values),
        "ids": None,
        "unnamed": None,
        "split": None,
        "sheets": [],
        "counts": counts or [len(values)],
    }
    return FeatureTable("t.csv", **rows, columns=names, named=True, values=values, places=set(), texts=written)


def found(values: np.ndarray, labels, *, classes: bool = True, groups=None, texts=None) -> list[int]:
    known = Known(np.asarray(labels, dtype=float), classes, groups)
    return sorted(leaks(made(np.asarray(values, dtype=float), texts=texts), np.arange(len(values)), known)[0])


@pytest.mark.parametrize(
    ("task", "column", "data", "words"),
    [
        ("classification", SICK * 1.5, {}, "one value for each class"),
        ("classification", np.where(ROW == 7, np.nan, 3.0 - SICK), {"impute": "mean"}, "one value for each class"),
        ("regression", OLD, AGE, "another unit"),
        ("regression", np.round(-OLD / 2.54, 2), AGE, "another unit"),
        ("classification", ROW // 4, GROUPED, "one value for each group"),
        ("classification", ROW, {}, "counts the rows"),
        ("classification", 200.0 - 0.5 * ROW, {}, "counts the rows"),
    ],
)
def test_what_is_the_label_the_group_or_the_row_is_refused_and_may_be_allowed(tmp_path, task, column, data, words):
    with_column(tmp_path, column)
    message = refusal(tmp_path, task, **data)
    assert "'x'" in message
    assert words in message
    assert "rna.csv" in message
    assert "exclude: [x]" in message
    for allow in ("x", ["x"], True):
        plan, _, source = read(tmp_path, table_recipe(task, allow_leak=allow, **data))
        assert plan.modalities["rna"].features == ["r0", "r1", "r2", "x"]
        assert any("'x'" in warning and words in warning for warning in source.warnings)
    tables = {"rna": {"files": "rna.csv", "id": "id", "exclude": "x"}, "protein": PROTEIN}
    assert not any(
        "'x'" in warning for warning in read(tmp_path, table_recipe(task, tables=tables, **data))[2].warnings
    )


def test_what_is_allowed_must_be_there(tmp_path):
    assert "no column like 'z'" in refusal(with_column(tmp_path, SICK * 1.0), allow_leak=["x", "z"])


def test_rows_are_counted_in_each_file_and_in_the_order_of_the_file(tmp_path):
    counted = np.r_[np.arange(20), np.arange(5, 25)].astype(float)
    values = np.stack([counted, numbers(1, 9)[:, 0]], axis=1)
    assert list(row_numbers(made(values, [20, 20]))[0]) == [0]
    assert list(row_numbers(made(values))[0]) == []
    table = frame(numbers(3), "r").assign(x=ROW)[::-1]
    write_tables(tmp_path, table)
    assert "counts the rows" in refusal(tmp_path)
    write_tables(tmp_path, table.sample(frac=1.0, random_state=0))
    read(tmp_path)


def test_in_few_rows_it_is_said_and_not_refused():
    rows = np.arange(5)
    few = made(np.stack([rows, rows % 2], axis=1).astype(float))
    assert row_numbers(few) == ({}, [0])
    assert leaks(few, rows, Known((rows % 2).astype(float), True, None)) == ({}, [1])


def test_a_gene_that_separates_the_classes_is_no_leak():
    rng = np.random.default_rng(0)
    apart = 9.0 * SICK + rng.normal(size=ROWS)
    counts = np.where(SICK, rng.integers(5, 9, ROWS), rng.integers(0, 3, ROWS))
    assert found(np.stack([apart, counts], axis=1), SICK) == []
    assert found(np.stack([OLD**2, OLD + 0.1 * rng.normal(size=ROWS)], axis=1), OLD, classes=False) == []


def test_what_is_measured_of_a_patient_is_no_leak_of_the_group():
    patient = np.repeat(np.arange(20), 2)
    rng = np.random.default_rng(0)
    values = np.stack([rng.permutation(np.arange(40, 80))[patient], rng.normal(size=20)[patient], patient % 2], axis=1)
    groups = [f"P{one:02d}" for one in patient]
    assert found(values, rng.integers(0, 2, ROWS), groups=groups) == []
    two = np.repeat([0.0, 1.0], 20)[:, np.newaxis]
    assert found(two, np.arange(ROWS) % 2, groups=["ab"[int(one)] for one in two[:, 0]]) == []


def test_a_number_that_is_the_groups_name_is_refused_with_one_sample_in_each_group():
    names = np.random.default_rng(0).permutation(np.arange(1000, 1000 + 3 * ROWS, 3))
    assert found(names[:, np.newaxis], SICK, groups=[str(one) for one in names]) == [0]
    assert found(names[:, np.newaxis] * 1.5, SICK, groups=[str(one) for one in names]) == []


def test_text_that_names_the_group_is_refused_and_text_of_two_patients_is_not():
    for count, expected in ((8, [0]), (2, [])):
        patient = np.arange(ROWS) % count
        texts = {0: [f"donor {one}" for one in range(count)]}
        labels = np.random.default_rng(1).integers(0, 2, ROWS)
        assert found(patient[:, np.newaxis], labels, groups=[f"P{one}" for one in patient], texts=texts) == expected


@pytest.mark.parametrize("rows", [6, 12, 60])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_chance_is_never_refused(rows, classes):
    rng = np.random.default_rng(rows + classes)
    width = 5000
    values = np.concatenate([rng.integers(0, 2, (rows, width)), rng.normal(size=(rows, 100)).round(1)], axis=1)
    values = np.where(rng.random(values.shape) < 0.1, np.nan, values)
    labels, groups = rng.integers(0, classes, rows), [str(one) for one in rng.integers(0, rows // 2, rows)]
    texts = {column: ["a", "b"] for column in range(2000)}
    for kinds in (True, False):
        assert found(values, labels, classes=kinds, groups=groups, texts=texts) == []
    assert found(values, rng.normal(size=rows), classes=False, groups=groups) == []


def test_categories_that_decide_the_label_are_refused_and_those_that_hint_at_it_are_not():
    site = (ROW % 6).astype(float)
    texts = {0: [f"site {place}" for place in range(6)]}
    assert found(site[:, np.newaxis], ROW % 6 > 2, texts=texts) == [0]
    assert found(site[:, np.newaxis], ROW % 6 > 2) == []
    assert found(site[:, np.newaxis], np.where(ROW == 6, 1, ROW % 6 > 2), texts=texts) == []
    assert found(ROW[:, np.newaxis], SICK, texts={0: [str(row) for row in ROW]}) == []


def test_few_columns_of_many_are_looked_at_as_well_as_all():
    values = numbers(600, 3)
    values[:, 599], values[:, 300] = SICK * 2.0, OLD
    assert found(values, SICK) == [599]
    assert found(values, OLD, classes=False) == [300]


@pytest.mark.parametrize("label", ["OS_Status", "OS_Months"])
def test_no_honest_clinical_column_is_refused(label):
    clinic = pd.read_csv(real_data("brca_survival") / "clinical.csv", index_col=0)
    columns, texts = [], {}
    for place, name in enumerate(clinic.columns):
        values = clinic[name]
        if not pd.api.types.is_numeric_dtype(values):
            codes, categories = pd.factorize(values)
            texts[place] = list(categories)
            values = pd.Series(np.where(codes < 0, np.nan, codes))
        columns.append(values.to_numpy(dtype=float))
    place = list(clinic.columns).index(label)
    assert found(np.stack(columns, axis=1), columns[place], classes=label == "OS_Status", texts=texts) == [place]


@pytest.mark.parametrize("name", ["msrc_v5", "prokaryotic"])
def test_no_honest_view_is_refused(name):
    folder = real_data("multiview") / name
    labels = pd.factorize(pd.read_csv(folder / "labels.csv.gz").label)[0]
    for path in sorted(folder.glob("view*.csv.gz")):
        values = pd.read_csv(path, index_col="id").to_numpy(dtype=float)
        assert found(values, labels) == []
        assert found(values, labels, classes=False) == []
        assert row_numbers(made(values)) == ({}, [])
