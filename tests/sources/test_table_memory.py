"""Dense tables are prepared in little more memory than they take, and to the same bits however they are divided."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from table_data import ROWS, frame, numbers, read, table_recipe, write_tables

from omib_cli.sources import block_values
from omib_cli.sources.tables import TablesSource

STEPS = [{"kind": "log1p"}, {"kind": "select", "by": "variance", "top": 4}, {"kind": "clip"}, {"kind": "zscore"}]


def with_holes(folder):
    table = frame(np.abs(numbers(7, seed=3)), "r")
    table.iloc[::5, 2] = np.nan
    table["kind"] = ["a", "b", "c", "a"] * (ROWS // 4)
    return write_tables(folder, table)


@pytest.mark.parametrize(
    "options",
    [{}, {"encode": "onehot"}, {"exclude": "kind", "preprocess": STEPS}],
    ids=["plain", "categories", "steps"],
)
def test_features_are_the_same_to_the_bit_however_few_values_are_copied_at_a_time(tmp_path, monkeypatch, options):
    tables = {"rna": {"files": "rna.csv", "id": "id", **options}, "protein": {"files": "protein.csv", "id": "id"}}
    recipe = table_recipe(tables=tables, impute="median")
    with_holes(tmp_path)
    whole, expected, _ = read(tmp_path, recipe)
    monkeypatch.setattr(block_values, "BLOCK_VALUES", 6)
    parts, found, _ = read(tmp_path, recipe)
    for name in recipe.modalities:
        assert found.values[name].tobytes() == expected.values[name].tobytes()
        for key, array in whole.modalities[name].preprocessing.items():
            assert array.tobytes() == parts.modalities[name].preprocessing[key].tobytes(), key


@pytest.mark.parametrize("labels", ["labels.csv", "x.npz"], ids=["labels-beside", "labels-in-the-same-file"])
def test_a_table_is_prepared_in_less_than_twice_its_memory(tmp_path, monkeypatch, labels):
    monkeypatch.setattr(block_values, "BLOCK_VALUES", 2**14)
    rows, columns = 4000, 300
    values = np.random.default_rng(0).normal(size=(rows, columns))
    ids, kinds = np.array([f"s{row}" for row in range(rows)]), np.array(["a", "b"] * (rows // 2))
    np.savez(tmp_path / "x.npz", X=values, id=ids, y=kinds)
    pd.DataFrame({"id": ids, "y": kinds}).to_csv(tmp_path / "labels.csv", index=False)
    recipe = table_recipe(
        tables={"rna": {"files": "x.npz", "id": "id"}},
        labels={"files": labels, "id": "id", "column": "y"},
        split={"by": "stratified", "test": 0.25},
    )
    TablesSource(recipe, tmp_path).plan()  # what is imported on the way
    tracemalloc.start()
    try:
        TablesSource(recipe, tmp_path).plan()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * values.nbytes + 5 * 8 * block_values.BLOCK_VALUES
