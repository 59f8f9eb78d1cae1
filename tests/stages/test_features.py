"""A model meets the features it was trained on, by name, or says which are not there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from omib_cli.errors import MismatchError
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.stages import embed, prepare, train

RECIPE = {
    "name": "tables",
    "data": {
        "source": "tables",
        "tables": {"rna": {"files": "rna.csv", "id": "id"}, "dna": {"files": "dna.csv", "id": "id"}},
        "labels": {"files": "labels.csv", "id": "id", "column": "status"},
        "split": {"by": "stratified", "test": 0.25},
    },
    "task": {"kind": "classification"},
    "modalities": {name: {"encoder": {"kind": "mlp", "hidden": [], "width": 4}} for name in ("rna", "dna")},
    "beta": {"policy": "value", "value": 0.01},
    "warmup": {"epochs": 1},
    "train": {"epochs": 2},
}


def tables(folder, change=lambda frame: frame):
    """A folder of three files with 40 samples; ``change`` is applied to the features of dna."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    ids = [f"s{i}" for i in range(40)]
    for name in ("rna", "dna"):
        values = {f"{name}_{j}": rng.normal(size=40) for j in range(5)}
        frame = pd.DataFrame(values, index=pd.Index(ids, name="id"))
        (change(frame) if name == "dna" else frame).to_csv(folder / f"{name}.csv")
    pd.DataFrame({"status": ["yes", "no"] * 20}, index=pd.Index(ids, name="id")).to_csv(folder / "labels.csv")
    return folder


@pytest.fixture
def model(tmp_path):
    recipe, job = recipe_model().model_validate(RECIPE), Job(threads=1, device="cpu")
    dataset = prepare.run(recipe, tables(tmp_path / "first"), tmp_path / "first.h5", job).out
    return train.run(recipe, dataset, tmp_path / "model.safetensors", job).out


def embedded(model, folder):
    job = Job(threads=1, device="cpu")
    dataset = prepare.run(recipe_model().model_validate(RECIPE), folder, folder.with_suffix(".h5"), job).out
    return embed.run(dataset, model, folder.with_suffix(".h5ad"), job)


def test_the_same_features_of_other_files_are_embedded(model, tmp_path):
    assert embedded(model, tables(tmp_path / "again", lambda frame: frame + 1.0)).out.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame[frame.columns[::-1]], "in another order: number 1 is 'dna_4'"),
        (lambda frame: frame.rename(columns={"dna_2": "dna_9"}), "without dna_2; with dna_9"),
    ],
    ids=["another order", "another name"],
)
def test_other_features_or_another_order_are_refused_by_name(model, tmp_path, change, said):
    with pytest.raises(MismatchError) as caught:
        embedded(model, tables(tmp_path / "other", change))
    assert said in str(caught.value)
    assert "modality 'dna'" in str(caught.value)
    assert not (tmp_path / "other.h5ad").exists()
