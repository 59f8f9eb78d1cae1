"""Large sparse matrices are searched for leaks and for equal rows as tables in memory are, to the same verdict."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_matrix
from test_large_tables import RAW, N, large  # noqa: F401 (a fixture)

from omib_cli.errors import DataError
from omib_cli.recipe.schema import recipe_model
from omib_cli.sources import array_tables
from omib_cli.sources.fingerprint import TablesAsked, of_tables
from omib_cli.sources.tables import TablesSource

ROW = np.arange(N)
KIND, PATIENT = ROW % 3, ROW // 9
AGE = np.random.default_rng(3).permutation(N) * 0.5
SHUFFLED = np.random.default_rng(4).permutation(N)


def made(task: str = "classification", column: str = "kind", **data):
    values = {
        "source": "tables",
        "tables": {"rna": {"files": "cells.h5ad", "preprocess": [{"kind": "log1p"}]}},
        "labels": {"files": "labels.csv", "id": "id", "column": column, "group": "patient"},
        "split": {"by": "group", "test": 0.3},
        **data,
    }
    every = {"name": "c", "data": values, "modalities": {one: {} for one in values["tables"]}, "task": {"kind": task}}
    return recipe_model().model_validate(every)


def write(folder, column=None, values=RAW, form=csr_matrix):
    values = values if column is None else np.column_stack([values[:, :30], column, values[:, 30:]])
    names = [f"g{place}" for place in range(values.shape[1])]
    obs = pd.DataFrame(index=[f"c{row}" for row in ROW])
    anndata.AnnData(form(values.astype(np.float32)), obs=obs, var=pd.DataFrame(index=names)).write_h5ad(
        folder / "cells.h5ad"
    )
    labels = {"id": obs.index, "kind": [f"k{one}" for one in KIND], "age": AGE, "patient": [f"p{p}" for p in PATIENT]}
    pd.DataFrame(labels).to_csv(folder / "labels.csv", index=False)
    return folder


def refusal(folder, recipe) -> str:
    with pytest.raises(DataError) as caught:
        TablesSource(recipe, folder).plan()
    return str(caught.value)


LEAKS = {
    "class": (KIND, "has one value for each class", {}),
    "class-without-zero": (np.array([4, 9, 2])[KIND], "has one value for each class", {}),
    "group": (PATIENT, "has one value for each group", {}),
    "row": (ROW * 3, "counts the rows", {}),
    "value": (2 * AGE + 7, "is the label in another unit", {"task": "regression", "column": "age"}),
    "value-with-zero": (AGE * 3, "is the label in another unit", {"task": "regression", "column": "age"}),
}


@pytest.mark.parametrize("form", [csr_matrix, csc_matrix])
@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.usefixtures("large")
def test_a_column_that_is_no_measurement_is_refused_in_the_words_of_a_table_in_memory(
    tmp_path, monkeypatch, leak, form
):
    column, words, options = LEAKS[leak]
    folder = write(tmp_path, column, form=form)
    said = refusal(folder, made(**options))
    assert f"'g30' {words}" in said
    monkeypatch.setattr(array_tables, "DENSE", 10**9)
    assert refusal(folder, made(**options)) == said
    monkeypatch.undo()
    source = TablesSource(made(**options, allow_leak="g30"), folder)
    source.plan()
    assert any("`allow_leak`" in warning and "'g30'" in warning for warning in source.warnings)


@pytest.mark.parametrize(
    "column",
    [
        KIND[SHUFFLED],
        np.where(ROW == 50, 5, KIND) + 1,
        np.ones(N),
        np.where(KIND == 0, 0, 1 + ROW % 2),
        SHUFFLED,
    ],
    ids=["shuffled", "one-cell-differs", "constant", "zero-in-one-class", "order"],
)
@pytest.mark.usefixtures("large")
def test_what_may_be_a_measurement_is_not(tmp_path, column):
    TablesSource(made(), write(tmp_path, column)).plan()


@pytest.mark.parametrize("form", [csr_matrix, csc_matrix])
@pytest.mark.usefixtures("large")
def test_equal_rows_on_two_sides_of_a_split_are_said(tmp_path, form):
    values = RAW.copy()
    values[5] = values[80]  # patients p0 and p8
    values[[7, 85]] = 0  # cells without a count are alike by nature
    sides = set()
    for seed in range(6):
        source = TablesSource(made().model_copy(update={"seed": seed}), write(tmp_path, values=values, form=form))
        plan = source.plan()
        split = dict(zip(plan.ids, plan.split.tolist(), strict=True))
        apart = 0 in (split["c5"], split["c80"]) and split["c5"] != split["c80"]
        sides.add(apart)
        said = [warning for warning in source.warnings if "all values" in warning]
        assert bool(said) == apart
        assert not said or said[0].endswith(("training sample: c80 (as c5)", "training sample: c5 (as c80)"))
    assert sides == {True, False}


@pytest.mark.usefixtures("large")
def test_two_modalities_of_the_same_columns_are_refused(tmp_path):
    tables = {name: {"files": "cells.h5ad", "columns": chosen} for name, chosen in (("a", "g1*"), ("b", "g*"))}
    assert "read the same columns" in refusal(write(tmp_path), made(tables=tables))


@pytest.mark.usefixtures("large")
def test_a_new_recipe_leaves_such_columns_out(tmp_path):
    asked = TablesAsked({"rna": "cells.h5ad"}, "labels.csv:kind")
    found = of_tables(asked, write(tmp_path, KIND)).tables[0].suspicious
    assert found == {"g30": "has one value for each class"}
