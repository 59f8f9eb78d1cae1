"""Sparse counts that stay in their file: read by blocks of rows, equal to the dense table, and predicted like it."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_matrix
from test_new_samples import like, same_rows

from omib_cli.errors import DataError, MismatchError
from omib_cli.recipe.schema import recipe_model
from omib_cli.recipe.sources.tables import TableScaling
from omib_cli.sources import array_tables, matrices
from omib_cli.sources.matrices import DenseMatrix
from omib_cli.sources.preprocessing import fit, fit_blocks
from omib_cli.sources.tables import TablesSource

N, D = 90, 60
STEPS = [
    {"kind": "library-size"},
    {"kind": "log1p"},
    {"kind": "select", "by": "highly-variable", "top": 20},
]
RAW = np.random.default_rng(0).negative_binomial(1, 0.4, size=(N, D)) * np.random.default_rng(1).binomial(
    1, 0.4, size=(N, D)
)


@pytest.fixture
def large(monkeypatch):
    """Every sparse matrix counts as too large to be made dense, and blocks are of a few rows."""
    monkeypatch.setattr(array_tables, "DENSE", 10)
    monkeypatch.setattr(matrices, "BLOCK_BYTES", 8 * 400)


def recipe(file: str, steps: list | None = None, **table):
    return recipe_model().model_validate(
        {
            "name": "cells",
            "data": {
                "source": "tables",
                "tables": {"rna": {"files": file, "preprocess": STEPS if steps is None else steps, **table}},
                "labels": {"files": "labels.csv", "id": "id", "column": "kind"},
                "split": {"by": "stratified", "test": 0.3},
                "constant": "drop",
            },
            "modalities": {"rna": {}},
            "task": {"kind": "classification"},
        }
    )


def write(folder, values=RAW, name="cells.h5ad", form=csr_matrix, genes=None, ids=None):
    folder.mkdir(exist_ok=True)
    ids = ids or [f"c{row}" for row in range(len(values))]
    genes = genes or [f"g{place}" for place in range(values.shape[1])]
    data = anndata.AnnData(form(values.astype(np.float32)), obs=pd.DataFrame(index=ids), var=pd.DataFrame(index=genes))
    if name.endswith(".h5mu"):
        import mudata

        mudata.MuData({"rna": data}).write(folder / name)
    elif name.endswith(".h5"):
        write_10x(folder / name, values, ids, genes)
    else:
        data.write_h5ad(folder / name)
    pd.DataFrame({"id": ids, "kind": ["b", "t", "n"] * (len(ids) // 3)}).to_csv(folder / "labels.csv", index=False)
    return folder


def write_10x(path, values, ids, genes):
    stored = csr_matrix(values)  # features in rows and barcodes in columns, by column
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for key in ("data", "indices", "indptr"):
            group[key] = getattr(stored, key)
        group["shape"] = np.array(values.shape[::-1])
        group["barcodes"] = np.array(ids, dtype="S")
        features = group.create_group("features")
        features["name"], features["id"] = np.array(genes, dtype="S"), np.array(genes, dtype="S")


def every(recipe, folder, known=None):
    source = TablesSource(recipe, folder, known)
    plan = source.plan()
    halves = [source.block(0, 7), source.block(7, len(plan.ids))]
    values = {name: np.concatenate([half.values[name] for half in halves]) for name in halves[0].values}
    block = source.block(0, len(plan.ids))
    for name, whole in block.values.items():
        np.testing.assert_array_equal(whole[:], values[name])
    return plan, block


KINDS = [("cells.h5ad", csr_matrix), ("cells.h5ad", csc_matrix), ("cells.h5mu", csr_matrix), ("cells.h5", csr_matrix)]


@pytest.mark.parametrize(("name", "form"), KINDS, ids=["csr", "csc", "h5mu", "10x"])
def test_a_matrix_in_its_file_gives_what_it_gives_in_memory(tmp_path, name, form, large, monkeypatch):
    folder = write(tmp_path / "data", name=name, form=form)
    made = recipe(name, **({"key": "rna"} if name.endswith("mu") else {}))
    plan, found = every(made, folder)
    monkeypatch.setattr(array_tables, "DENSE", 10**9)
    whole, expected = every(made, folder)
    assert (plan.ids, plan.modalities["rna"].features) == (whole.ids, whole.modalities["rna"].features)
    np.testing.assert_allclose(found.values["rna"], expected.values["rna"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.values["rna"][plan.split == 0].mean(axis=0), 0, atol=1e-6)


def test_without_steps_every_column_is_kept_and_standardised(tmp_path, large):
    plan, found = every(recipe("cells.h5ad", []), write(tmp_path / "data"))
    order = [int(name[1:]) for name in plan.ids]
    train = RAW[order][plan.split == 0]
    kept = train.std(axis=0) > 0
    expected = (RAW[order] - train.mean(axis=0))[:, kept] / train.std(axis=0)[kept]
    np.testing.assert_allclose(found.values["rna"], expected, atol=1e-5)


def test_new_cells_are_prepared_from_the_model_alone(tmp_path, large):
    made = recipe("cells.h5ad")
    known = every(made, write(tmp_path / "old"))
    order = np.random.default_rng(5).permutation(D)
    extra = np.column_stack([RAW[:30, order], np.ones(30)])
    genes = [*(f"g{place}" for place in order), "unknown"]
    new = write(tmp_path / "new", extra, genes=genes)
    (new / "labels.csv").unlink()
    # a gene that the model does not know counts in no sum
    same_rows((known[0], known[1]), every(made, new, like(known[0])))


def test_genes_that_only_count_in_sums_may_be_missing_and_others_not(tmp_path, large):
    made = recipe("cells.h5ad")
    known = every(made, write(tmp_path / "old"))
    used = set(known[0].modalities["rna"].features)
    keep = [place for place in range(D) if f"g{place}" in used or place % 2]
    new = write(tmp_path / "new", RAW[:, keep], genes=[f"g{place}" for place in keep])
    source = TablesSource(made, new, like(known[0]))
    source.plan()
    assert any("only counted in sums: not here" in warning for warning in source.warnings)
    lost = min(used)
    keep = [place for place in range(D) if f"g{place}" != lost]
    new = write(tmp_path / "less", RAW[:, keep], genes=[f"g{place}" for place in keep])
    with pytest.raises(MismatchError, match="1 feature that the model needs"):
        TablesSource(made, new, like(known[0])).plan()


def test_damaged_matrices_are_refused_and_nothing_crashes(tmp_path, large):
    for key, value, words in (("indices", D, "an index of 60"), ("data", np.nan, "missing or infinite")):
        folder = write(tmp_path / key)
        with h5py.File(folder / "cells.h5ad", "r+") as file:
            file[f"X/{key}"][3] = value
        with pytest.raises(DataError, match=words):
            TablesSource(recipe("cells.h5ad"), folder).plan()
    folder = write(tmp_path / "indptr")
    with h5py.File(folder / "cells.h5ad", "r+") as file:
        file["X/indptr"][2] = 10**6
    with pytest.raises(DataError, match="damaged sparse matrix"):
        TablesSource(recipe("cells.h5ad"), folder).plan()


def test_memory_makes_blocks_smaller_and_bounds_what_is_kept(tmp_path, large):
    folder = write(tmp_path / "data")
    source = TablesSource(recipe("cells.h5ad"), folder)
    source.memory = 60_000
    source.plan()
    _, plain = every(recipe("cells.h5ad"), folder)
    np.testing.assert_allclose(source.block(0, N).values["rna"], plain.values["rna"], rtol=1e-6, atol=1e-6)
    source = TablesSource(recipe("cells.h5ad"), folder)
    source.memory = 2_000
    with pytest.raises(DataError, match="more than --memory gives"):
        source.plan()


@pytest.mark.parametrize("standardise", ["zscore", "minmax", "block", "none"])
def test_every_scaling_is_fitted_alike_in_memory_and_by_blocks(standardise):
    rng = np.random.default_rng(0)
    values = rng.poisson(1.0, (40, 6)) * np.array([1.0, 3.0, 9.0, 1.0, 0.0, 2.0])
    training, scaling = np.arange(40) % 4 > 0, TableScaling(standardise, "mean", "drop")
    names = list("abcdef")
    whole = fit(values, np.flatnonzero(training), names, scaling, "x")
    blocks = fit_blocks(DenseMatrix(values), training, names, scaling, "x")
    assert whole.kept.tolist() == blocks.kept.tolist() == [0, 1, 2, 3, 5]
    np.testing.assert_allclose(blocks.offset, whole.offset, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(blocks.scale, whole.scale, rtol=1e-6)
