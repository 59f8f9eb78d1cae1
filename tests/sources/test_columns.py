"""Which columns are features: by name, by pattern, never what names or labels the samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from table_data import ROWS, frame, label_frame, numbers, read, table_recipe, write_tables
from test_new_samples import like, same_rows

from omib_cli.errors import DataError
from omib_cli.sources.copies import row_digests, twins
from omib_cli.sources.tables import TablesSource

PROTEIN = {"files": "protein.csv", "id": "id"}


def rna(**options) -> dict:
    return {"tables": {"rna": {"files": "rna.csv", "id": "id", **options}, "protein": PROTEIN}}


def refusal(folder: Path, **data) -> str:
    with pytest.raises(DataError) as caught:
        TablesSource(table_recipe(**data), folder).plan()
    return str(caught.value)


def features(folder: Path, **options) -> tuple[list[str] | None, list[str]]:
    plan, _, source = read(folder, table_recipe(**rna(**options)))
    return plan.modalities["rna"].features, source.warnings


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"columns": "r*"}, ["r0", "r1", "r2"]),
        ({"columns": "r1"}, ["r1"]),
        ({"columns": ["r2", "b*"]}, ["r2", "batch"]),
        ({"exclude": "batch"}, ["r0", "r1", "r2"]),
        ({"exclude": ["r[01]", "batch"]}, ["r2"]),
        ({"columns": "r*", "exclude": "r0"}, ["r1", "r2"]),
        ({}, ["r0", "r1", "r2", "batch"]),
    ],
)
def test_features_are_chosen_and_left_out_by_name_and_by_pattern(tmp_path, options, expected):
    write_tables(tmp_path, frame(numbers(3), "r").assign(batch=numbers(1, 5)[:, 0]))
    assert features(tmp_path, **options) == (expected, [])


def test_a_name_that_looks_like_a_pattern_is_that_column_alone(tmp_path):
    write_tables(tmp_path, frame(numbers(3), "r").rename(columns={"r0": "r[1]"}))
    assert features(tmp_path, columns="r[1]")[0] == ["r[1]"]
    assert features(tmp_path, exclude="r[1]")[0] == ["r1", "r2"]


@pytest.mark.parametrize("key", ["columns", "exclude"])
@pytest.mark.parametrize("pattern", ["R_0", "RR*"])
def test_a_name_or_pattern_that_is_like_no_column_is_refused_with_near_names(tmp_path, key, pattern):
    message = refusal(write_tables(tmp_path), **rna(**{key: ["r1", pattern]}))
    assert f"no column like '{pattern}'" in message
    assert f"rna.csv, `{key}`" in message
    assert "did you mean" in message
    assert "'r0'" in message.partition("did you mean")[2]


def test_text_that_is_left_out_is_not_spoken_of(tmp_path):
    write_tables(tmp_path, frame(numbers(3), "r").assign(remark="fine", price="1,5"))
    assert features(tmp_path, exclude=["remark", "price"]) == (["r0", "r1", "r2"], [])


def test_label_group_split_and_ids_are_no_features_in_any_file_and_that_is_said(tmp_path):
    own = {"y": range(100, 140), "patient": [row % 7 for row in range(40)], "split": 1.5, "sample": range(40)}
    write_tables(tmp_path, frame(numbers(3), "r").assign(**own), labels=label_frame().rename(columns={"id": "sample"}))
    labels = {"files": "labels.csv", "id": "sample", "column": "y", "split": "split"}
    plan, _, source = read(tmp_path, table_recipe(labels=labels))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2", "patient"]
    assert [warning for warning in source.warnings if "not used: y, sample, split" in warning]
    message = refusal(tmp_path, labels=labels, **rna(columns=["r0", "y"]))
    assert "label, group or split are no features" in message


def test_one_file_with_labels_says_what_it_leaves_out(tmp_path):
    whole = frame(numbers(3), "r").merge(label_frame().drop(columns="age"), on="id")
    whole.to_csv(write_tables(tmp_path) / "all.csv", index=False)
    tables = {"rna": {"files": "all.csv", "id": "id"}, "protein": PROTEIN}
    labels = {"files": "all.csv", "id": "id", "column": "y", "split": "split"}
    plan, _, source = read(tmp_path, table_recipe(tables=tables, labels=labels))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]
    assert source.warnings == [
        "all.csv: columns that are the ids, label, group or split, or named so, are not used: y, split",
        "all.csv: columns of text are not used (`encode` makes features of categories): patient",
    ]


def test_a_column_that_is_chosen_and_left_out_is_refused(tmp_path):
    message = refusal(write_tables(tmp_path), **rna(columns=["r0", "r1"], exclude="r1"))
    assert "in `columns` and in `exclude`" in message
    assert "r1" in message


def test_names_from_a_file_are_chosen_and_left_out_too(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "names.txt").write_text("A\nB\nC\n")
    assert features(tmp_path, feature_names="names.txt", exclude="B")[0] == ["A", "C"]
    assert "no column like 'r1'" in refusal(tmp_path, **rna(feature_names="names.txt", exclude="r1"))


def test_new_samples_need_no_column_that_the_model_does_not_use(tmp_path):
    table = frame(numbers(3), "r").assign(batch=1.0, extra=numbers(1, 7)[:, 0])
    plan, block, _ = read(write_tables(tmp_path, table), table_recipe(**rna(exclude="extra")))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]  # batch is constant
    write_tables(tmp_path, table[["r2", "r1", "id", "r0"]].assign(y=1.0, other=2.0))
    source = TablesSource(table_recipe(**rna(exclude="extra")), tmp_path, like(plan))
    new = source.plan()
    same_rows((plan, block), (new, source.block(0, len(new.ids))))
    assert any("not used: y" in warning for warning in source.warnings)
    assert any("the model does not use: left out (other)" in warning for warning in source.warnings)


# ---- samples on two sides


def test_samples_of_the_test_split_that_are_training_samples_once_more_are_said(tmp_path):
    rna, protein = frame(numbers(3), "r"), frame(numbers(12, 1), "q")
    for table in (rna, protein):
        table.iloc[[4, 8], 1:] = table.iloc[[2, 3], 1:].to_numpy()
    protein.iloc[12, 1:] = protein.iloc[2, 1:].to_numpy()
    rna.iloc[13, 1:] = rna.iloc[2, 1:].to_numpy()  # three columns alone may be equal by nature
    _, _, source = read(write_tables(tmp_path, rna, protein))
    assert source.warnings == [
        "2 samples of validation or test have all values of a training sample: p04 (as p02), p08 (as p03)",
        "1 sample of validation or test has all values of protein of a training sample: p12 (as p02)",
    ]


def test_few_columns_of_few_values_have_equal_rows_by_nature(tmp_path):
    coarse = frame(np.round(numbers(2, 1) / 4), "q")
    assert read(write_tables(tmp_path, protein=coarse))[2].warnings == []
    wide = frame(numbers(12, 1)[np.arange(ROWS) // 8], "q")
    assert any("all values of protein" in warning for warning in read(write_tables(tmp_path, protein=wide))[2].warnings)


def test_a_modality_that_two_samples_lack_makes_them_no_twins(tmp_path):
    table = frame(numbers(3), "r")
    table.iloc[[2, 4], 1:] = np.nan
    assert not any("training sample" in warning for warning in read(write_tables(tmp_path, table))[2].warnings)


def test_samples_are_twins_by_every_modality_or_by_a_wide_one_which_is_said():
    values, split = numbers(12)[[0, 1, 0]].astype(np.float32), np.array([0, 0, 2], dtype=np.uint8)
    everywhere = np.ones(3, dtype=bool)
    wide, narrow = row_digests(values, everywhere), row_digests(numbers(2)[:3].astype(np.float32), everywhere)
    told = twins({"rna": wide, "protein": wide}, {"rna": 12, "protein": 12}, split, ["a", "b", "c"])
    assert told == ["1 sample of validation or test has all values of a training sample: c (as a)"]
    told = twins({"rna": wide, "protein": narrow}, {"rna": 12, "protein": 2}, split, ["a", "b", "c"])
    assert told == ["1 sample of validation or test has all values of rna of a training sample: c (as a)"]
