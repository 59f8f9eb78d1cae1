"""Small recipes and datasets that tests are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, DatasetWriter, ModalityPlan
from omib_cli.artifacts.partial import Partial
from omib_cli.artifacts.provenance import Provenance
from omib_cli.recipe.schema import Recipe, recipe_model
from omib_cli.runtime.job import Job


def small_recipe(count: int = 2, task: str = "classification", **sections) -> Recipe:
    """A recipe for small vectors: narrow encoders, few epochs, beta given; any section may be replaced."""
    if count == 2:
        parts = {"a0": 2, "a1": 3, "a2": 3, "b0": 2, "b1": 2, "b2": 2}
    else:
        parts = {"a00": 2, "a11": 2, "a22": 2, "a33": 2, "b00": 2, "b12": 1}
    encoder = {"kind": "mlp", "hidden": [16], "width": 8}
    data = {"source": "simulation", "parts": parts, "samples": 300, "validation": 0.2}
    if count == 1:  # no simulation has a single modality
        data = {
            "source": "tables",
            "tables": {"x1": {"files": "x1.csv"}},
            "labels": {"files": "labels.csv", "column": "y"},
        }
    values = {
        "name": "small",
        "data": data,
        "modalities": {f"x{i + 1}": {"encoder": encoder} for i in range(count)},
        "task": {"kind": task},
        "head": {"hidden": 16},
        "beta": {"policy": "value", "value": 0.02},
        "warmup": {"epochs": 2, "batch": 32, "optimiser": {"lr": 0.01}},
        "train": {"epochs": 3, "batch": 32, "optimiser": {"lr": 0.01}},
        "evaluate": {"bootstrap": 50, "references": []},
    }
    return recipe_model().model_validate({**values, **sections})


def write_dataset(
    path: Path,
    values: dict[str, np.ndarray],
    labels: np.ndarray,
    split: np.ndarray,
    *,
    classes: list[str] | None = None,
    present: dict[str, np.ndarray] | None = None,
    task: str = "classification",
    groups: list[str] | None = None,
) -> Path:
    """A dataset file from arrays whose rows are already ordered by split."""
    count = len(labels)
    here = present or {name: np.ones(count, dtype=bool) for name in values}
    plan = DatasetPlan(
        ids=[f"s{i:04d}" for i in range(count)],
        split=split.astype(np.uint8),
        task=task,
        classes=["0", "1"] if classes is None and task == "classification" else classes or [],
        modalities={name: ModalityPlan(shape=value.shape[1:], kind=fmt.VECTOR) for name, value in values.items()},
        groups=groups,
    )
    writer = DatasetWriter(plan, Partial(path, "test", Job(threads=1)))
    writer.write(
        0,
        Block(
            {name: value.astype(np.float32) for name, value in values.items()},
            {name: here[name] for name in values},
            labels.astype(np.float64),
        ),
    )
    writer.finish(path, Provenance(kind=fmt.DATASET, recipe=small_recipe(len(values)).resolved(), recipe_hash="test"))
    return path


def toy_dataset(path: Path, count: int = 2, task: str = "classification", missing: bool = False) -> Path:
    """240 training, 60 validation, 100 test samples; every modality has half of what decides the label."""
    rng = np.random.default_rng(0)
    rows = 400
    values = {f"x{i + 1}": rng.normal(size=(rows, 6)) for i in range(count)}
    score = sum(value[:, :2].sum(axis=1) for value in values.values())
    labels = (score > 0).astype(float) if task == "classification" else score
    split = np.repeat([0, 1, 2], [240, 60, 100])
    present = {name: np.ones(rows, dtype=bool) for name in values}
    if missing:
        present["x2"] = rng.random(rows) > 0.3
        values["x2"][~present["x2"]] = 0.0
    return write_dataset(path, values, labels, split, present=present, task=task)
