"""Small tables and recipes over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from omib_cli.recipe.schema import Recipe, recipe_model
from omib_cli.sources.tables import TablesSource

ROWS = 40


def numbers(columns: int, seed: int = 0, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 2.0, (rows, columns))


def frame(values: np.ndarray, prefix: str, ids: list[str] | None = None) -> pd.DataFrame:
    made = pd.DataFrame(values.copy(), columns=[f"{prefix}{index}" for index in range(values.shape[1])])
    made.insert(0, "id", ids or [f"p{row:02d}" for row in range(len(values))])
    return made


def label_frame(rows: int = ROWS) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"p{row:02d}" for row in range(rows)],
            "y": ["sick" if row % 2 else "well" for row in range(rows)],
            "split": ["test" if row % 4 == 0 or row % 4 == 1 else "train" for row in range(rows)],
            "patient": [f"g{row // 4}" for row in range(rows)],
            "age": np.linspace(20, 80, rows),
        }
    )


def write_tables(folder: Path, rna=None, protein=None, labels=None) -> Path:
    """Write ``rna.csv`` (3 columns), ``protein.csv`` (2) and ``labels.csv``."""
    (frame(numbers(3), "r") if rna is None else rna).to_csv(folder / "rna.csv", index=False)
    (frame(numbers(2, 1), "q") if protein is None else protein).to_csv(folder / "protein.csv", index=False)
    (label_frame() if labels is None else labels).to_csv(folder / "labels.csv", index=False)
    return folder


def table_recipe(task: str = "classification", seed: int = 0, **data) -> Recipe:
    """A recipe over the files of :func:`write_tables`; any key of ``data`` may be replaced."""
    section = {
        "source": "tables",
        "tables": {"rna": {"files": "rna.csv", "id": "id"}, "protein": {"files": "protein.csv", "id": "id"}},
        "labels": {"files": "labels.csv", "id": "id", "column": "y", "split": "split"},
    }
    section = {key: data.get(key, section.get(key)) for key in {**section, **data}}
    modalities = {name: {} for name in section["tables"]}
    return recipe_model().model_validate(
        {"name": "t", "seed": seed, "data": section, "modalities": modalities, "task": {"kind": task}}
    )


def read(folder: Path, recipe: Recipe | None = None):
    """Plan and the one block of all rows."""
    source = TablesSource(recipe or table_recipe(), folder)
    plan = source.plan()
    return plan, source.block(0, len(plan.ids)), source
