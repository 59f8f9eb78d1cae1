r"""Calibration of a recipe for tables in files by split, by cross-validation over all of its samples.

    python benchmarks/calibration.py rosmap ../shared/data/rosmap --beta 0.021 --repeats 3

Every fold is prepared, trained, embedded as omib does it: of what is not held out, a part is the validation split, of
which temperature and sets are learnt; the rest trains. Out-of-fold predictions of a repetition are judged together;
mean and standard deviation over repetitions.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from omib_cli.evaluation.runs import Run, read_run
from omib_cli.recipe.load import load_recipe, recipe_from_values
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.stages import embed, prepare, train
from omib_cli.tasks.calibration import confidence_and_hits, error_by_chance

FOLDS = 5
NAMES = ("accuracy", "auc", "ece", "brier", "log_loss")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("input", type=Path)
    parser.add_argument("--beta", type=float, required=True)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--validation", type=float, default=0.25, help="share of what is not held out")
    parser.add_argument("--level", type=float, default=0.9)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def tables_of(values: dict, folder: Path) -> dict[str, pd.DataFrame]:
    """Each table, and the labels, of all splits one below the other."""
    files = {name: table["files"] for name, table in values["data"]["tables"].items()}
    files["labels"] = values["data"]["labels"]["files"]
    return {
        name: pd.concat([pd.read_csv(folder / each, header=None) for each in own.values()], ignore_index=True)
        for name, own in files.items()
    }


def recipe_of_fold(values: dict, tables: dict[str, pd.DataFrame], split: np.ndarray, seed: int, folder: Path) -> Recipe:
    """The recipe for one fold's files, which are written."""
    data = values["data"]
    for name, table in tables.items():
        files = {}
        for part in ("train", "validation", "test"):
            files[part] = f"{name}-{part}.csv"
            table[split == part].to_csv(folder / files[part], index=False, header=False)
        (data["labels"] if name == "labels" else data["tables"][name])["files"] = files
    for table in data["tables"].values():
        table["feature_names"] = None
    return recipe_from_values({**values, "seed": seed})


def fold(values: dict, tables: dict[str, pd.DataFrame], split: np.ndarray, seed: int, options) -> dict[str, Run]:
    """The runs of one fold, with its temperature and without."""
    with tempfile.TemporaryDirectory() as name:
        folder, job = Path(name), Job(threads=options.threads, device="cpu")
        recipe = recipe_of_fold(values, tables, split, seed, folder)
        dataset = prepare.run(recipe, folder, folder / "data.h5", job).out
        model = train.run(recipe, dataset, folder / "model.safetensors", job).out
        found = {}
        for how, raw in (("raw", True), ("scaled", False)):
            out = embed.run(dataset, model, folder / f"{how}.h5ad", job, raw=raw, level=options.level).out
            found[how] = read_run(out)
        return found


def judged(runs: list[Run]) -> dict[str, float]:
    """Metrics of out-of-fold predictions, and how often their sets hold the truth."""
    held = [each.split == "test" for each in runs]
    scores = np.concatenate([each.predictors[0].scores[rows] for each, rows in zip(runs, held, strict=True)])
    labels = np.concatenate([each.labels[rows] for each, rows in zip(runs, held, strict=True)])
    found = {name: runs[0].task.metrics(scores, labels)[name] for name in NAMES}
    found["ece_by_chance"] = error_by_chance(confidence_and_hits(scores, labels)[0], 0)
    found["covered"] = np.concatenate([each.within.holds[rows] for each, rows in zip(runs, held, strict=True)]).mean()
    found["classes"] = np.concatenate([each.within.size[rows] for each, rows in zip(runs, held, strict=True)]).mean()
    found["temperature"] = float(np.mean([each.provenance.facts["temperature"] or 1.0 for each in runs]))
    return found


def main() -> None:
    options = arguments()
    started = time.monotonic()
    values = load_recipe(
        options.recipe, ["beta.policy=value", f"beta.value={options.beta}", *options.settings]
    ).resolved()
    tables = tables_of(values, options.input)
    labels = tables["labels"][0].to_numpy()
    rows: dict[str, list[dict[str, float]]] = {"raw": [], "scaled": []}
    for repeat in range(options.repeats):
        runs: dict[str, list[Run]] = {"raw": [], "scaled": []}
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=repeat).split(labels, labels)
        for number, (rest, held) in enumerate(folds):
            seed = repeat * FOLDS + number
            fitted, asked = train_test_split(
                rest, test_size=options.validation, stratify=labels[rest], random_state=seed
            )
            split = np.empty(len(labels), dtype=object)
            split[fitted], split[asked], split[held] = "train", "validation", "test"
            for how, run in fold(values, tables, split, seed, options).items():
                runs[how].append(run)
        for how, own in runs.items():
            rows[how].append(judged(own))
    print(f"{len(labels)} samples, {FOLDS} folds, {options.repeats} repetitions, level {options.level:g}\n")
    names = list(rows["raw"][0])
    print(f"| probabilities | {' | '.join(names)} |\n|{' --- |' * (len(names) + 1)}")
    for how, own in rows.items():
        found = pd.DataFrame(own)
        cells = [f"{found[name].mean():.3f} ± {found[name].std():.3f}".removesuffix(" ± nan") for name in names]
        print(f"| {how} | {' | '.join(cells)} |")
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
