"""Synthetic embeddings, written as ``omib embed`` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from small import small_recipe

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.embedding import write_embedding
from omib_cli.artifacts.provenance import Provenance
from omib_cli.recipe.tasks import ClassificationOptions, RegressionOptions
from omib_cli.tasks.classification import Classification

SIZES = {"train": 240, "validation": 60, "test": 100}


def history(modalities: list[str], warm: int = 4, main: int = 12, validation: bool = True, kept: int | None = None):
    """Rows that look like a run that over-fits a little."""
    rng = np.random.default_rng(3)
    rows = []
    for phase, count in (("warmup", warm), ("train", main)):
        for epoch in range(1, count + 1):
            at = (epoch + (warm if phase == "train" else 0)) / (warm + main)
            row = {"phase": phase, "epoch": epoch, "seconds": 0.8, "lr": 1e-4, "loss": 2.0 - at}
            row |= {f"trb/{m}": 0.72 - 0.45 * at + 0.04 * i + 0.01 * rng.normal() for i, m in enumerate(modalities)}
            if phase == "train":
                row["task"] = 0.75 * np.exp(-2.2 * at) + 0.08
                row |= {f"kl/{m}": 9.0 * np.exp(-3.0 * at) + 0.8 + 0.4 * i for i, m in enumerate(modalities)}
                row |= {f"r/{m}": 1.0 + 0.12 * rng.normal() - 0.1 * i for i, m in enumerate(modalities) if i}
            if validation:
                row["validation/loss"] = (0.55 + 0.5 * (at - 0.5) ** 2) * (len(modalities) if phase == "warmup" else 1)
            row["kept"] = phase == "train" and epoch == (kept or main * 2 // 3)
            rows.append({name: v if isinstance(v, str | bool | int) else float(v) for name, v in row.items()})
    return rows


BETA = {"policy": "uniform", "value": 0.0224, "lower": 0.0185, "upper": 0.0271, "objective": 1 / 3, "above": False}


def information(modalities: list[str]):
    pairs = [f"{a}|{b}" for i, a in enumerate(modalities) for b in modalities[i + 1 :]]
    return {
        "entropy": {name: [6.4 + 0.5 * i, 0.21] for i, name in enumerate(modalities)},
        "mutual": {pair: [2.9, 0.11] for pair in pairs},
        "limit": 9.21,
    }


def make_embedding(
    path: Path,
    task: str = "classification",
    *,
    classes: list[str] | None = None,
    modalities: int = 2,
    sizes: dict[str, int] | None = None,
    width: int = 8,
    seed: int = 0,
    groups: int = 0,
    noise: float = 1.0,
    beta: dict | None = BETA,
    missing: bool = False,
    branches: bool = True,
    sentiment: bool = False,
    notes: dict | None = None,
    facts: dict | None = None,
    **sections,
) -> Path:
    """An embedding whose predictions are the truth and noise; ``groups`` per split share their noise."""
    rng = np.random.default_rng(seed)
    recipe = small_recipe(modalities, task, seed=seed, **sections)
    if sentiment:
        recipe = recipe.model_copy(update={"task": RegressionOptions(sentiment=True)})
    names = list(recipe.modalities)
    sizes = SIZES if sizes is None else sizes
    split = np.repeat(list(sizes), list(sizes.values()))
    count = len(split)
    classes = (["no", "yes"] if classes is None else classes) if task == "classification" else []
    labels = (
        rng.integers(0, len(classes), count).astype(float) if classes else np.clip(rng.normal(0, 1.5, count), -3, 3)
    )
    if not classes:
        labels = np.round(labels * 5) / 5
    group = np.array([f"g{s}-{i % groups}" for i, s in enumerate(split)]) if groups else None
    shared = dict(zip(*(np.unique(group), rng.normal(size=(len(np.unique(group)), 8))), strict=True)) if groups else {}

    def outputs(scale: float) -> np.ndarray:
        own = rng.normal(size=(count, max(1, len(classes))))
        if groups:
            own = np.stack([shared[g][: own.shape[1]] for g in group]) + 0.2 * own
        if not classes:
            return (0.8 * labels[:, None] + scale * own).astype(np.float32)
        logits = 1.6 * np.eye(len(classes))[labels.astype(int)] + scale * own
        return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)

    obs = pd.DataFrame({"split": split, "label": labels}, index=[f"s{i:05d}" for i in range(count)])
    if classes:
        obs["label_name"] = [classes[int(code)] for code in labels]
    if groups:
        obs["group"] = group
    obsm = {"output": outputs(noise)}
    obs["prediction"] = predicted(obsm["output"], classes)
    for i, name in enumerate(names):
        present = np.ones(count, dtype=bool) if not (missing and i == 1) else rng.random(count) > 0.3
        obs[f"has_{name}"] = present
        if branches:
            own = outputs(noise * (1.4 + 0.5 * i))
            own[~present] = np.nan
            obsm[f"output_{name}"] = own
            obs[f"prediction_{name}"] = np.where(present, predicted(np.nan_to_num(own), classes), np.nan)
            obsm[f"posterior_sd_{name}"] = rng.random((count, width)).astype(np.float32)
    centres = rng.normal(scale=1.4, size=(max(2, len(classes)), width))
    middle = centres[labels.astype(int)] if classes else labels[:, None] * centres[0]
    values = (middle + rng.normal(size=(count, width))).astype(np.float32)
    provenance = Provenance(
        kind=fmt.EMBEDDING,
        recipe=recipe.resolved(),
        recipe_hash=recipe.hash("embedding"),
        parents={"dataset": "d" * 64, "model": "e" * 64},
        facts={"task": task, "classes": classes, "modalities": names, "reference": names[0], **(facts or {})},
        notes={
            "history": history(names),
            "beta": beta and {**beta, "objective": 1 / (2 * modalities - 1)},
            "information": information(names) if beta else None,
        }
        | (notes or {}),
        command="omib embed dataset.h5 --model model.safetensors",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"X": values, "obs/id": obs.index.to_numpy(dtype=object)}
    arrays |= {f"obsm/{key}": array for key, array in obsm.items()}
    for name, column in obs.items():
        arrays[f"obs/{name}"] = column.to_numpy(dtype=object if column.dtype.kind not in "biuf" else None)
    read = lambda rows: {place: array[rows.start : rows.stop] for place, array in arrays.items()}  # noqa: E731
    write_embedding(path, count, read, provenance)
    return path


def predicted(outputs: np.ndarray, classes: list[str]) -> np.ndarray:
    return outputs.argmax(axis=1).astype(float) if classes else outputs[:, 0].astype(float)


def classification(count):
    return Classification(ClassificationOptions(), [f"c{i}" for i in range(count)])


def random_case(classes, rows=150, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows).astype(float)
    probabilities = rng.dirichlet(np.ones(classes), rows) + 0.4 * np.eye(classes)[labels.astype(int)]
    probabilities = (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities, labels
