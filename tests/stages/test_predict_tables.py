"""New samples come in files of any kind: whatever prepares a table prepares it for a model, to the same bits."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.io
from test_features import RECIPE, tables

from omib_cli.errors import DataError
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.stages import predict, prepare, train
from omib_cli.stages.new_samples import NewData


def model_of(folder, source, recipe):
    job, made = Job(threads=1, device="cpu"), recipe_model().model_validate(recipe)
    dataset = prepare.run(made, source, folder / "first.h5", job).out
    return train.run(made, dataset, folder / "model.safetensors", job).out


def predicted(model, folder, **options):
    out = folder.with_suffix(".h5ad")
    predict.run(NewData(folder, **options), model, out, Job(threads=1, device="cpu"))
    return anndata.read_h5ad(out)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of plain tables, and what it predicts of them."""
    folder = tmp_path_factory.mktemp("trained")
    model = model_of(folder, tables(folder / "first"), RECIPE)
    return model, predicted(model, new(folder / "again"))


def new(folder):
    tables(folder)
    (folder / "labels.csv").unlink()
    return folder


def as_parquet(table, folder):
    table.to_parquet(folder / "new.parquet", index=False)
    return "new.parquet", {}


def as_xlsx(table, folder):
    with pd.ExcelWriter(folder / "new.xlsx") as book:
        table.to_excel(book, sheet_name="counts", index=False)
        pd.DataFrame({"a": [1]}).to_excel(book, sheet_name="notes", index=False)
    return "new.xlsx", {"sheet": "counts"}


def as_h5ad(table, folder):
    anndata.AnnData(table.set_index("id")).write_h5ad(folder / "new.h5ad")
    return "new.h5ad", {"id": "null"}


def as_mat(table, folder):
    values = table.drop(columns="id").to_numpy()
    ids = np.array(table.id, dtype=object)[:, np.newaxis]
    scipy.io.savemat(folder / "new.mat", {"values": values, "id": ids})
    (folder / "names.txt").write_text("\n".join(table.columns[1:]))
    return "new.mat", {"feature_names": "names.txt"}


def with_decimal_commas(table, folder):
    table.to_csv(folder / "new.csv", sep=";", decimal=",", index=False)
    return "new.csv", {"decimal": "','"}


def in_several_files(table, folder):
    table[:30].to_csv(folder / "part-1.csv", index=False)
    table[table.columns[::-1]][30:].to_csv(folder / "part-2.csv", index=False)
    return "part-*.csv", {"stack": "rows"}


def in_files_of_other_features(table, folder):
    table.iloc[:, :3].to_csv(folder / "part-1.csv", index=False)
    table.iloc[::-1, [0, 3, 4, 5]].to_csv(folder / "part-2.csv", index=False)
    return "part-*.csv", {"stack": "columns"}


def with_samples_in_columns(table, folder):
    table.set_index("id").T.rename_axis("gene").to_csv(folder / "new.tsv.gz", sep="\t")
    return "new.tsv.gz", {"transpose": "true", "id": "null"}


def with_longer_ids(table, folder):
    table.assign(id=table.id + ".fastq").to_csv(folder / "new.csv", index=False)
    return "new.csv", {"id_rule": "{strip: .fastq}"}


def with_nameless_ids(table, folder):
    table.rename(columns={"id": ""}).to_csv(folder / "new.csv", index=False)
    return "new.csv", {"id": "null"}


def by_content(table, folder):
    table.to_parquet(folder / "new.csv", index=False)
    return "new.csv", {}


KINDS = [as_parquet, as_xlsx, as_h5ad, as_mat, with_decimal_commas, in_several_files, in_files_of_other_features]
KINDS += [with_samples_in_columns, with_longer_ids, with_nameless_ids, by_content]


@pytest.mark.parametrize("write", KINDS, ids=lambda one: one.__name__)
def test_new_samples_may_come_in_other_files_than_the_models_own(trained, tmp_path, write):
    model, expected = trained
    folder = new(tmp_path / "new")
    name, options = write(pd.read_csv(folder / "dna.csv"), folder)
    (folder / "dna.csv").unlink()
    settings = [f"data.tables.dna.{key}={value}" for key, value in options.items()]
    found = predicted(model, folder, files={"dna": name}, overrides=settings)
    np.testing.assert_array_equal(found[expected.obs_names].X, expected.X)


def test_a_model_reads_new_files_as_its_recipe_reads_its_own(trained, tmp_path):
    folder = tables(tmp_path / "first")
    rna, dna = (pd.read_csv(folder / f"{name}.csv") for name in ("rna", "dna"))
    for start in range(0, 40, 10):
        rna[start : start + 10].to_csv(folder / f"rna-{start}.csv", sep=";", decimal=",", index=False)
    dna.assign(id=dna.id + "_R1").set_index("id").T.to_csv(folder / "dna.csv")
    own = {
        "rna": {"files": "rna-*.csv", "stack": "rows", "decimal": ",", "id": "id"},
        "dna": {"files": "dna.csv", "transpose": True, "id_rule": {"strip": "_R1"}},
    }
    recipe = {**RECIPE, "data": {**RECIPE["data"], "tables": own}}
    model = model_of(tmp_path, folder, recipe)
    found, expected = predicted(model, folder), trained[1]
    np.testing.assert_array_equal(found[expected.obs_names].X, expected.X)


def test_new_samples_in_columns_are_known_by_the_models_features(trained, tmp_path):
    folder = new(tmp_path / "new")
    for name in ("rna", "dna"):
        pd.read_csv(folder / f"{name}.csv").set_index("id").T.rename_axis("id").to_csv(folder / f"{name}.csv")
    with pytest.raises(DataError, match="samples are in columns") as caught:
        predicted(trained[0], folder)
    assert "transpose: true" in str(caught.value)
