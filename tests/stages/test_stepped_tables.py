"""Tables whose recipe names steps: in datasets, in models, for new samples."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from test_features import RECIPE, tables

from omib_cli.artifacts.prepared import read_prepared
from omib_cli.errors import DataError, MismatchError
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.sources.matching import from_bytes
from omib_cli.stages import embed, predict, prepare, train
from omib_cli.stages.new_samples import NewData

JOB = Job(threads=1, device="cpu")
STEPS = [{"kind": "clip"}, {"kind": "select", "by": "anova", "top": 4}, {"kind": "pca", "components": 2}]


def recipe(**data):
    content = {**RECIPE["data"], **data}
    content["tables"] = {
        name: {**table, **({"preprocess": STEPS} if name == "dna" else {})} for name, table in content["tables"].items()
    }
    return recipe_model().model_validate(RECIPE | {"data": content})


def test_steps_are_carried_by_the_model_and_new_samples_go_through_them(tmp_path):
    dataset = prepare.run(recipe(), tables(tmp_path / "first"), tmp_path / "d.h5", JOB).out
    model = train.run(recipe(), dataset, tmp_path / "m.safetensors", JOB).out
    own = anndata.read_h5ad(embed.run(dataset, model, tmp_path / "own.h5ad", JOB).out)
    new = tables(tmp_path / "new", lambda frame: frame[frame.columns[::-1]].assign(stranger=1.0))
    (new / "labels.csv").unlink()
    found = anndata.read_h5ad(predict.run(NewData(new), model, tmp_path / "p.h5ad", JOB).out)
    np.testing.assert_allclose(found.X, own[found.obs_names].X, atol=1e-6)

    refused = []
    for name in (f"dna_{place}" for place in range(5)):
        folder = tables(tmp_path / name, lambda frame, name=name: frame.drop(columns=name))
        if not features_of(model) & {name}:
            continue
        with pytest.raises(MismatchError, match="1 feature that the model needs is not here"):
            predict.run(NewData(folder, labels="none"), model, tmp_path / f"{name}.h5ad", JOB)
        refused.append(folder)
    assert len(refused) == 4  # the one that was not selected may be missing
    lost = refused[0]
    filled = predict.run(NewData(lost, labels="none", allow_missing=0.3), model, tmp_path / "f.h5ad", JOB)
    assert np.isfinite(anndata.read_h5ad(filled.out).X).all()


def test_missing_values_before_components_are_refused_unless_the_recipe_fills_them(tmp_path):
    folder = tables(tmp_path / "raw")
    frame = pd.read_csv(folder / "dna.csv")
    frame.loc[3, "dna_2"] = np.nan
    frame.to_csv(folder / "dna.csv", index=False)
    with pytest.raises(DataError, match="1 missing value"):
        prepare.run(recipe(), folder, tmp_path / "d.h5", JOB)
    assert prepare.run(recipe(impute="mean"), folder, tmp_path / "d.h5", JOB).out.exists()


def features_of(model) -> set[str]:
    """The columns of dna that the steps selected."""
    fitted = read_prepared(model)[0].modalities["dna"].fitted
    names = from_bytes(fitted["inputs"])
    return {names[place] for place in fitted["step1.kept"].tolist()}
