"""A recipe over small tables that is tuned in a moment."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from table_data import frame, label_frame, numbers, table_recipe, write_tables

SHORT = {"batch": 16, "epochs": 4, "optimiser": {"lr": 0.01}}
TUNE = {
    "*.optimiser.lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "fusion.latent": {"choices": [4, 8]},
    "train.epochs": {"low": 3, "high": 5},
}


def write_all(folder: Path, validation: float = 0.25, tune: dict | None = None, **sections) -> tuple[Path, Path]:
    """The recipe's file, and the folder of its input, in which rna says something of the label."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    labels = label_frame()
    rna = numbers(3)
    rna[:, 0] += np.where(labels["y"] == "sick", 2.0, 0.0)
    write_tables(raw, rna=frame(rna, "r"), labels=labels)
    values = table_recipe(split={"validation": validation}).model_copy(update={"name": "rows"}).resolved()
    encoder = {"encoder": {"kind": "mlp", "hidden": [], "width": 4}}
    values |= {"head": {"hidden": 0}, "warmup": SHORT, "train": SHORT}
    values |= {"modalities": {"rna": encoder, "protein": encoder}, "tune": TUNE if tune is None else tune}
    values |= {"beta": {"policy": "value", "value": 0.01}, "fusion": {"method": "omib", "latent": 4}, **sections}
    recipe = folder / "rows.yaml"
    recipe.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return recipe, raw


def words(files: tuple[Path, Path], out: Path, *more: str, command: str = "tune") -> list[str]:
    """A command over the files."""
    recipe, raw = files
    return [command, str(recipe), "--input", str(raw), "--out", str(out), "--threads", "1", "--quiet", *more]


def omib(*given: str) -> int:
    """Run the program here; its exit code."""
    from omib_cli.cli import app

    with pytest.raises(SystemExit) as end:
        app.main(list(given))
    return end.value.code


def trials(out: Path) -> list[dict]:
    """The trials of a search, as its JSON has them, without what they took."""
    found = json.loads((out / "rows.json").read_text(encoding="utf-8"))["trials"]
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in found]


def rows(path: Path) -> list[dict]:
    """Of a CSV file."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def spoil(raw: Path, ids: list[str]) -> None:
    """Change the features of some samples beyond recognition."""
    for name in ("rna", "protein"):
        values = pd.read_csv(raw / f"{name}.csv", float_precision="round_trip")
        mine = values["id"].isin(ids)
        values.loc[mine, values.columns[1:]] = 40.0 - 3.0 * values.loc[mine, values.columns[1:]]
        values.to_csv(raw / f"{name}.csv", index=False)
