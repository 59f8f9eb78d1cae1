"""A table in several files, with samples in columns, or with ids that are written otherwise: read, or refused aloud."""

from __future__ import annotations

from itertools import pairwise

import anndata
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from table_data import ROWS, frame, label_frame, numbers, read, table_recipe, write_tables

from omib_cli.errors import DataError, OmibError, RecipeError
from omib_cli.sources.tables import TablesSource

IDS = [f"p{row:02d}" for row in range(ROWS)]
RNA = frame(numbers(3), "r")
PROTEIN = {"files": "protein.csv", "id": "id"}
LABELS = {"files": "labels.csv", "id": "id", "column": "y", "split": "split"}


def recipe(rna: dict, **data):
    return table_recipe(tables={"rna": {"id": "id", **rna}, "protein": PROTEIN}, **data)


def refusal(folder, rna: dict, kind: type[OmibError] = DataError, **data) -> str:
    with pytest.raises(kind) as caught:
        TablesSource(recipe(rna, **data), folder).plan()
    return str(caught.value)


def must_be_the_usual(folder, rna: dict, **data) -> list[str]:
    """The table is read as one plain file would be; returns what is said."""
    plan, block, source = read(folder, recipe(rna, **data))
    (folder / "plain").mkdir(exist_ok=True)
    usual, expected, _ = read(write_tables(folder / "plain"))
    assert plan.ids == usual.ids
    assert plan.modalities["rna"].features == usual.modalities["rna"].features
    np.testing.assert_array_equal(block.values["rna"], expected.values["rna"])
    np.testing.assert_array_equal(block.present["rna"], expected.present["rna"])
    return source.warnings


def batches(folder, cuts=(0, 15, 30, ROWS), change=lambda part: part):
    write_tables(folder)
    for number, (start, stop) in enumerate(pairwise(cuts)):
        change(RNA[start:stop]).to_csv(folder / f"batch-{number}.csv", index=False)
    return folder


# ---- below each other


@pytest.mark.parametrize(
    "files", ["batch-*.csv", ["batch-0.csv", "batch-1.csv", "batch-2.csv"], ["batch-[01].csv", "batch-2.csv"]]
)
def test_files_of_other_samples_are_one_table(tmp_path, files):
    batches(tmp_path)
    assert must_be_the_usual(tmp_path, {"files": files, "stack": "rows"}) == []
    source = TablesSource(recipe({"files": files, "stack": "rows"}), tmp_path)
    assert {f"batch-{number}.csv" for number in range(3)} < set(source.files())


def test_columns_are_matched_by_name_and_formats_may_differ(tmp_path):
    batches(tmp_path)
    RNA[15:30][["r2", "id", "r1", "r0"]].to_parquet(tmp_path / "batch-1.parquet")
    files = ["batch-0.csv", "batch-1.parquet", "batch-2.csv"]
    assert must_be_the_usual(tmp_path, {"files": files, "stack": "rows"}) == []


def test_columns_that_one_file_lacks_are_named(tmp_path):
    batches(tmp_path)
    RNA[15:30].rename(columns={"r1": "s1"}).to_csv(tmp_path / "batch-1.csv", index=False)
    message = refusal(tmp_path, {"files": "batch-*.csv", "stack": "rows"})
    assert "batch-1.csv" in message
    assert "no r1 and s1 as well" in message
    assert "stack: columns" in message


def test_a_sample_in_two_files_is_refused(tmp_path):
    batches(tmp_path)
    RNA[14:30].to_csv(tmp_path / "batch-1.csv", index=False)
    message = refusal(tmp_path, {"files": "batch-*.csv", "stack": "rows"})
    assert "duplicated id" in message
    assert "p14" in message


def test_a_word_in_one_of_several_files_is_located_in_it(tmp_path):
    batches(tmp_path)
    RNA[15:30].assign(r1="x").to_csv(tmp_path / "batch-1.csv", index=False)
    message = refusal(tmp_path, {"files": "batch-*.csv", "stack": "rows"})
    assert "batch-1.csv, row 1, column 'r1'" in message


def test_labels_may_be_in_several_files(tmp_path):
    batches(tmp_path)
    label_frame()[:10].to_csv(tmp_path / "l1.csv", index=False)
    label_frame()[10:].assign(note="x").to_csv(tmp_path / "l2.csv", index=False)
    labels = {**LABELS, "files": "l*.csv", "stack": "rows"}
    (tmp_path / "labels.csv").unlink()
    assert must_be_the_usual(tmp_path, {"files": "batch-*.csv", "stack": "rows"}, labels=labels) == []


def test_each_split_may_have_several_files(tmp_path):
    write_tables(tmp_path)
    train = label_frame().split == "train"
    RNA[train][:9].to_csv(tmp_path / "a1.csv", index=False)
    RNA[train][9:].to_csv(tmp_path / "a2.csv", index=False)
    RNA[~train].to_csv(tmp_path / "b.csv", index=False)
    files = {"train": ["a1.csv", "a2.csv"], "test": "b.csv"}
    labels = {key: value for key, value in LABELS.items() if key != "split"}
    assert must_be_the_usual(tmp_path, {"files": files, "stack": "rows"}, labels=labels) == []
    files["test"] = ["b.csv", "a1.csv"]
    assert "read the same file" in refusal(tmp_path, {"files": files, "stack": "rows"}, labels=labels)


# ---- beside each other


def halves(folder, one=lambda part: part, other=lambda part: part):
    write_tables(folder)
    one(RNA[["id", "r0", "r1"]]).to_csv(folder / "left.csv", index=False)
    other(RNA[["id", "r2"]]).to_csv(folder / "right.csv", index=False)
    return {"files": ["left.csv", "right.csv"], "stack": "columns"}


def test_files_of_the_same_samples_are_matched_by_id(tmp_path):
    options = halves(tmp_path, other=lambda part: part.sample(frac=1.0, random_state=0))
    assert must_be_the_usual(tmp_path, options) == []
    assert must_be_the_usual(tmp_path, {**options, "id": 0}) == []


def test_files_beside_each_other_have_the_same_samples_and_other_columns(tmp_path):
    message = refusal(tmp_path, halves(tmp_path, other=lambda part: part[1:]))
    assert "different samples" in message
    assert "no p00" in message
    message = refusal(tmp_path, halves(tmp_path, other=lambda part: part.rename(columns={"r2": "r1"})))
    assert "columns of the same name" in message
    assert "'r1'" in message
    message = refusal(tmp_path, halves(tmp_path, other=lambda part: part.assign(id=["p00", *part.id[:-1]])))
    assert "duplicated id" in message
    message = refusal(tmp_path, {**halves(tmp_path, other=lambda part: part.drop(columns="id"))})
    assert "no column 'id'" in message


def test_files_without_ids_are_put_beside_each_other_by_row(tmp_path):
    options = halves(tmp_path, *[lambda part: part.drop(columns="id")] * 2)
    tables = {"rna": options, "protein": {"files": "protein.csv", "columns": ["q*"]}}
    plan, _, _ = read(tmp_path, table_recipe(tables=tables, join="row", labels={**LABELS, "id": None}))
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]


def test_two_modalities_may_not_read_the_same_file_of_several(tmp_path):
    options = halves(tmp_path)
    tables = {"rna": {**options, "id": "id"}, "protein": {"files": "right.csv", "id": "id"}}
    with pytest.raises(DataError, match="read the same columns"):
        TablesSource(table_recipe(tables=tables), tmp_path).plan()


# ---- what is not said


def test_several_files_and_no_word_how_they_belong_together_are_refused(tmp_path):
    with pytest.raises(ValidationError, match="stack: rows"):
        recipe({"files": ["a.csv", "b.csv"]})
    message = refusal(batches(tmp_path), {"files": "batch-*.csv"})
    assert "`stack: rows`" in message
    assert "`stack: columns`" in message


def test_a_pattern_that_no_file_is_like_and_a_file_named_twice_are_refused(tmp_path):
    batches(tmp_path)
    assert "no file like 'part-*.csv'" in refusal(tmp_path, {"files": "part-*.csv", "stack": "rows"})
    twice = {"files": ["batch-0.csv", "batch-*.csv"], "stack": "rows"}
    assert "named twice" in refusal(tmp_path, twice)
    (tmp_path / "link.csv").symlink_to(tmp_path / "batch-0.csv")
    twice = {"files": ["batch-0.csv", "link.csv"], "stack": "rows"}
    assert "read the same file" in refusal(tmp_path, twice)


def test_a_file_may_be_called_like_a_pattern(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "rna.csv").rename(tmp_path / "rna[1].csv")
    assert must_be_the_usual(tmp_path, {"files": "rna[1].csv"}) == []


# ---- samples in columns


def turned(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("id").T.rename_axis(index="gene", columns=None).reset_index()


@pytest.mark.parametrize("how", ["csv", "tsv.gz", "xlsx", "parquet", "h5ad", "text beside", "named", "nameless"])
def test_samples_in_columns_are_turned(tmp_path, how):
    write_tables(tmp_path)
    across, name = turned(RNA), f"across.{how}" if how in ("csv", "tsv.gz", "xlsx", "parquet", "h5ad") else "across.csv"
    options = {"files": name, "id": None, "transpose": True}
    if how == "xlsx":
        across.to_excel(tmp_path / name, index=False)
    elif how == "parquet":
        across.to_parquet(tmp_path / name)
    elif how == "h5ad":
        anndata.AnnData(across.set_index("gene")).write_h5ad(tmp_path / name)
    else:
        if how in ("text beside", "named"):
            across.insert(0, "symbol", "x")
            options["id"] = "gene"
        if how == "nameless":
            across = across.rename(columns={"gene": ""})
        across.to_csv(tmp_path / name, sep="\t" if "tsv" in how else ",", index=False)
    said = must_be_the_usual(tmp_path, options)
    assert any("columns of text are no samples: symbol" in one for one in said) == (how in ("text beside", "named"))


def test_an_array_with_samples_in_columns_is_turned(tmp_path):
    write_tables(tmp_path)
    np.savez(tmp_path / "rna.npz", values=numbers(3).T, who=np.array(IDS))
    plan, _, _ = read(tmp_path, recipe({"files": "rna.npz", "id": "who", "transpose": True}))
    assert plan.modalities["rna"].shape == (3,)


def test_files_with_samples_in_columns_are_put_together_too(tmp_path):
    write_tables(tmp_path)
    turned(RNA[:15]).to_csv(tmp_path / "t1.csv", index=False)
    turned(RNA[15:]).iloc[::-1].to_csv(tmp_path / "t2.csv", index=False)
    options = {"files": "t?.csv", "id": None, "transpose": True, "stack": "rows"}
    assert must_be_the_usual(tmp_path, options) == []


@pytest.mark.parametrize("named", ["gene", "id", None])
def test_a_table_with_samples_in_columns_is_refused_by_the_name_of_the_option(tmp_path, named):
    write_tables(tmp_path)
    turned(RNA).to_csv(tmp_path / "across.csv", index=False)
    message = refusal(tmp_path, {"files": "across.csv", "id": named})
    assert "the samples are in columns" in message
    assert "transpose: true" in message
    assert "p00" in message


# ---- ids


@pytest.mark.parametrize("table", ["rna", "labels", "both"])
def test_a_first_column_without_a_name_is_the_id_if_it_holds_those_of_another_file(tmp_path, table):
    rna, labels = RNA.rename(columns={"id": ""}), label_frame().rename(columns={"id": ""})
    write_tables(tmp_path, rna if table != "labels" else RNA, labels=labels if table != "rna" else None)
    data = {"labels": {**LABELS, "id": None}} if table != "rna" else {}
    said = must_be_the_usual(tmp_path, {"files": "rna.csv", "id": None if table != "labels" else "id"}, **data)
    assert [("holds ids as in" in one, "rna.csv" in one or "labels.csv" in one) for one in said] == [(True, True)] * (
        2 if table == "both" else 1
    )


def test_a_nameless_column_of_other_values_or_of_row_numbers_is_no_id(tmp_path):
    for ids, labels in ((range(ROWS), [str(row) for row in range(ROWS)]), ([f"z{row}" for row in range(ROWS)], IDS)):
        rna = RNA.assign(id=list(ids)).rename(columns={"id": ""})
        write_tables(tmp_path, rna, frame(numbers(2, 1), "q", labels), label_frame().assign(id=labels))
        assert "data.tables.rna.id" in refusal(tmp_path, {"files": "rna.csv", "id": None}, RecipeError)


BARCODES = [f"TCGA-A1-{1000 + row}-01A-11R-A{row:03d}-07" for row in range(ROWS)]


@pytest.mark.parametrize(
    ("written", "rule", "ids"),
    [
        ([f"{one}.csv" for one in IDS], {"strip": ".csv"}, IDS),
        ([one + ("_R1" if one > "p20" else "_rna_R1") for one in IDS], {"strip": ["_R1", "_rna_R1"]}, IDS),
        (BARCODES, {"tcga": "patient"}, [one[:12] for one in BARCODES]),
        ([one.replace("-", ".").lower() for one in BARCODES], {"tcga": "patient"}, [one[:12] for one in BARCODES]),
        (BARCODES, {"tcga": "sample"}, [one[:15] for one in BARCODES]),
    ],
)
def test_ids_are_written_by_rule(tmp_path, written, rule, ids):
    rest = (frame(numbers(2, 1), "q", ids), label_frame().assign(id=ids))
    write_tables(tmp_path, RNA.assign(id=written), *rest)
    plan, _, _ = read(tmp_path, recipe({"files": "rna.csv", "id_rule": rule}))
    assert sorted(plan.ids) == sorted(ids)
    assert plan.facts.get("missing", {}) == {}
    turned(RNA.assign(id=written)).to_csv(tmp_path / "across.csv", index=False)
    options = {"files": "across.csv", "id": None, "transpose": True, "id_rule": rule}
    plan, _, _ = read(tmp_path, recipe(options))
    assert plan.facts.get("missing", {}) == {}


def test_samples_that_a_rule_makes_one_are_named(tmp_path):
    written = [*BARCODES[:-1], BARCODES[0].replace("-01A", "-11A")]
    ids = [one[:12] for one in BARCODES]
    write_tables(tmp_path, RNA.assign(id=written), frame(numbers(2, 1), "q", ids), label_frame().assign(id=ids))
    message = refusal(tmp_path, {"files": "rna.csv", "id_rule": {"tcga": "patient"}})
    assert "makes one" in message
    assert f"{written[0]} and {written[-1]} (TCGA-A1-1000)" in message


@pytest.mark.parametrize(("level", "odd"), [("patient", "GTEX-1117F"), ("sample", "TCGA-A1-1000")])
def test_ids_that_are_no_barcodes_are_refused(tmp_path, level, odd):
    write_tables(tmp_path, RNA.assign(id=[*BARCODES[:-1], odd]))
    message = refusal(tmp_path, {"files": "rna.csv", "id_rule": {"tcga": level}})
    assert repr(odd) in message
