"""A trained model is trained further on a new cohort: what it has learnt is kept, and said where it cannot be."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from test_features import RECIPE, tables

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.checkpoint import read_checkpoint
from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.stored_recipe import recipe_of
from omib_cli.errors import DataError, MismatchError, UsageError
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import predict, prepare, train
from omib_cli.stages.new_samples import NewData, prepare_like

JOB = Job(threads=1, device="cpu")


class Said(Progress):
    """Keeps what a command says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, message: str) -> None:
        self.lines.append(message)

    def note(self, message: str) -> None:
        self.lines.append(message)


def recipe(**changes):
    return recipe_model().model_validate(RECIPE | changes)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    dataset = prepare.run(recipe(), tables(folder / "raw"), folder / "first.h5", JOB).out
    return train.run(recipe(), dataset, folder / "model.safetensors", JOB).out


@pytest.fixture
def cohort(model, tmp_path):
    """Another clinic's samples, prepared as the model's own."""
    folder = tables(tmp_path / "clinic", lambda frame: frame + 0.5)
    return prepare_like(NewData(folder, split="train"), model, tmp_path / "clinic.h5", JOB).out


def fine_tuned(model, cohort, out, job=JOB, **changes):
    weights, provenance = read_checkpoint(model, fmt.MODEL)
    made = recipe_of(provenance, model, [f"{key}={value}" for key, value in changes.items()])
    found = train.run(made, cohort, out, job, start=model).out
    return weights, *read_checkpoint(found, fmt.MODEL)


def test_weights_and_beta_are_taken_over_and_trained_further_without_warm_up(model, cohort, tmp_path):
    before, after, provenance = fine_tuned(model, cohort, tmp_path / "m.safetensors", **{"train.optimiser.lr": 1e-6})
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-3, rtol=0)
    assert any(not torch.equal(after[name], value) for name, value in before.items())
    assert provenance.facts["beta"]["value"] == 0.01
    assert provenance.parents[fmt.MODEL]
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["m.safetensors"]
    assert {row["phase"] for row in provenance.notes["history"]} == {"train"}


def test_frozen_encoders_stay_to_the_bit_and_the_rest_learns(model, cohort, tmp_path):
    before, after, _ = fine_tuned(model, cohort, tmp_path / "m.safetensors", **{"train.freeze": "[encoders]"})
    kept = {name for name, value in before.items() if torch.equal(after[name], value)}
    assert {name for name in before if name.startswith("encoders.")} <= kept
    assert any(name.startswith("fusion.") for name in before.keys() - kept)
    _, other, _ = fine_tuned(model, cohort, tmp_path / "all.safetensors")
    assert any(not torch.equal(other[name], before[name]) for name in before if name.startswith("encoders."))


def test_the_new_model_predicts_as_any_other(model, cohort, tmp_path):
    fine_tuned(model, cohort, tmp_path / "m.safetensors")
    folder = tables(tmp_path / "more")
    result = predict.run(NewData(folder, labels="none"), tmp_path / "m.safetensors", tmp_path / "p.h5ad", JOB)
    assert result.out.exists()


def test_other_classes_get_new_heads_aloud(model, tmp_path):
    folder = tables(tmp_path / "raw")
    labels = pd.read_csv(folder / "labels.csv")
    labels["status"] = ["low", "middle", "high", "middle"] * 10
    labels.to_csv(folder / "labels.csv", index=False)
    dataset = prepare.run(recipe(), folder, tmp_path / "d.h5", JOB).out
    said = Said()
    job = Job(threads=1, device="cpu", progress=said)
    changes = {"train.optimiser.lr": 1e-6}
    before, after, provenance = fine_tuned(model, dataset, tmp_path / "m.safetensors", job, **changes)
    assert provenance.facts["classes"] == ["high", "low", "middle"]
    assert any("the last layers of the heads start anew" in line for line in said.lines)
    assert any("is scaled by its own samples" in line for line in said.lines)
    moved = [name for name, value in before.items() if after[name].shape != value.shape]
    assert moved
    assert not any(name.startswith("encoders.") for name in moved)
    for name in before.keys() - set(moved):
        torch.testing.assert_close(after[name], before[name], atol=1e-3, rtol=0)


def test_classes_by_other_names_are_other_classes_though_they_are_as_many(model, tmp_path):
    folder = tables(tmp_path / "raw")
    labels = pd.read_csv(folder / "labels.csv").replace({"yes": "sick", "no": "well"})
    labels.to_csv(folder / "labels.csv", index=False)
    dataset = prepare.run(recipe(), folder, tmp_path / "d.h5", JOB).out
    said = Said()
    fine_tuned(model, dataset, tmp_path / "m.safetensors", Job(threads=1, device="cpu", progress=said))
    assert any("sick, well" in line for line in said.lines)


def test_what_does_not_fit_is_refused(model, cohort, tmp_path):
    with pytest.raises(UsageError, match=r"train\.freeze"):
        train.run(recipe(train={"epochs": 1, "freeze": ["encoders"]}), cohort, tmp_path / "m.safetensors", JOB)
    wider = {name: {"encoder": {"kind": "mlp", "hidden": [], "width": 8}} for name in ("rna", "dna")}
    with pytest.raises(MismatchError, match="not the one that training is to start from"):
        train.run(recipe(modalities=wider), cohort, tmp_path / "m.safetensors", JOB, start=model)
    with pytest.raises(DataError, match="wrong kind"):
        train.run(recipe(), cohort, tmp_path / "m.safetensors", JOB, start=cohort)
    unlabelled = NewData(tables(tmp_path / "b"), labels="none", split="train")
    with pytest.raises(DataError, match="without a label cannot be in the train split"):
        prepare_like(unlabelled, model, tmp_path / "b.h5", JOB)
    assert not (tmp_path / "b.h5").exists()
    new = prepare_like(NewData(tables(tmp_path / "c")), model, tmp_path / "c.h5", JOB).out
    with pytest.raises(MismatchError, match="no training split"):
        train.run(recipe(), new, tmp_path / "m.safetensors", JOB, start=model)
    assert not (tmp_path / "m.safetensors").exists()


def test_samples_may_be_prepared_for_judging(model, tmp_path):
    made = prepare_like(NewData(tables(tmp_path / "b"), split="test"), model, tmp_path / "b.h5", JOB).out
    with Dataset(made, ("train", "validation", "test")) as data:
        assert len(data.rows("test")) == 40
