"""Accuracy of recipes over seeds, beside simple references fitted to the same datasets in the same run.

    python benchmarks/results.py sim-i sim-i-best --seeds 5 --out /scratch/results --jobs 2
    python benchmarks/results.py rosmap --input ../shared/data/rosmap --seeds 5 --out /scratch/results
    python benchmarks/results.py cmu-mosi-text-audio --input ../shared/data/cmu_mosi --seeds 3 --out /scratch/results

Every cell is ``omib run RECIPE --seed S`` in a folder of its own, which continues where it was interrupted. The
references see exactly what the recipe's training sees, train and validation together, all modalities side by side (of
tokens the frozen sentence embedding of the recipe's text encoder, of a sequence its mean):
scikit-learn's logistic regression and random forest, a network of two hidden layers that stops early; ridge regression
(penalty by cross-validation inside training), also on the first modality alone. Prints a Markdown table of mean and
sample standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.encoders.pooling import masked_mean
from omib_cli.encoders.text import TextEncoder
from omib_cli.recipe.encoders import TextOptions
from omib_cli.recipe.load import recipe_from_values
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.tasks import TASKS

SHOWN = {
    "classification": ("accuracy", "auc", "f1_macro"),
    "regression": ("mae", "pearson_r", "acc2_nonneg", "acc2_nonzero", "acc7"),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--input", help="the folder of raw data, for recipes that read some")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a folder outside the repository")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    return parser.parse_args()


def run_cell(options: argparse.Namespace, recipe: str, seed: int) -> Path:
    """One run; returns its folder."""
    folder = options.out / Path(recipe).stem / f"seed-{seed}"
    command = [sys.executable, "-m", "omib_cli", "run", recipe, "--seed", str(seed), "--out", str(folder), "--quiet"]
    command += ["--threads", str(options.threads)]
    command += ["--input", options.input] if options.input else []
    for override in options.overrides:
        command += ["--set", override]
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(f"{recipe} seed {seed}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return folder


def own_scores(folder: Path) -> dict[str, float]:
    """Test metrics of the embedding's prediction, from the run's report."""
    report = json.loads((folder / "report" / "report.json").read_text())
    return {name: cell["value"] for name, cell in report["runs"][0]["metrics"]["test"]["fused"].items()}


def reference_scores(folder: Path, seed: int) -> dict[str, dict[str, float]]:
    """Test metrics of each reference on the run's dataset."""
    with Dataset(folder / "dataset.h5", EVERYTHING) as data:
        fit, test = range(data.rows("validation").stop), data.rows("test")
        recipe = recipe_from_values(data.provenance.recipe)
        inputs = {name: tuple(vectors(data, recipe, name, rows) for rows in (fit, test)) for name in data.modalities}
        labels, truth = data.labels(fit), data.labels(test)
        groups, classes = data.groups(fit), data.classes
    task = TASKS.implementation(recipe.task.kind)(recipe.task, classes)
    both = tuple(np.concatenate([pair[side] for pair in inputs.values()], axis=1) for side in (0, 1))
    if recipe.task.kind == "regression":
        first = next(iter(inputs))
        models = {
            "ridge, all modalities": ridge(both, labels, groups),
            f"ridge, {first} alone": ridge(inputs[first], labels, groups),
        }
    else:
        models = {name: classify(kind, both, labels, seed) for name, kind in CLASSIFIERS.items()}
    return {name: task.metrics(outputs.astype(np.float32), truth) for name, outputs in models.items()}


def vectors(data: Dataset, recipe: Recipe, name: str, rows: range) -> np.ndarray:
    """One modality of the rows as vectors (rows, D)."""
    values = data.values(name, rows)
    if data.modalities[name].kind == fmt.TOKENS:
        return sentence_embeddings(values, recipe.modalities[name].encoder, data.modalities[name].config)
    if data.modalities[name].kind == fmt.SEQUENCE:
        return masked_mean(torch.from_numpy(values[..., :-1]), torch.from_numpy(values[..., -1])).numpy()
    return values.reshape(len(values), -1)


@torch.no_grad()
def sentence_embeddings(tokens: np.ndarray, options: TextOptions, config: dict) -> np.ndarray:
    """Mean of the pretrained layers' output over real tokens, of mean square 1: (rows, H)."""
    encoder = TextEncoder(options, tokens.shape[1:], config)
    encoder.load_pretrained()
    pooled = []
    for batch in torch.from_numpy(tokens).long().split(64):
        mask = batch >= 0
        hidden = encoder.eval().backbone(input_ids=batch.clamp(min=0), attention_mask=mask.long()).last_hidden_state
        pooled.append(masked_mean(hidden, mask))
    return (torch.nn.functional.normalize(torch.cat(pooled)) * pooled[0].shape[1] ** 0.5).numpy()


CLASSIFIERS = {"logistic regression": "logistic", "random forest": "forest", "MLP on all modalities": "mlp"}


def classify(kind: str, inputs: tuple, labels: np.ndarray, seed: int) -> np.ndarray:
    """Class probabilities of the test samples."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    if kind == "mlp":
        model = MLPClassifier(
            (256, 256), learning_rate_init=1e-4, batch_size=128, early_stopping=True, random_state=seed
        )
    elif kind == "forest":
        model = RandomForestClassifier(n_estimators=500, random_state=seed)
    else:
        model = LogisticRegression(max_iter=5000, random_state=seed)
    return model.fit(inputs[0], labels.astype(int)).predict_proba(inputs[1])


def ridge(inputs: tuple, labels: np.ndarray, groups: list[str] | None) -> np.ndarray:
    """Predictions of ridge regression, its penalty chosen by cross-validation over whole groups."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, GroupKFold, KFold

    folds = GroupKFold(5) if groups is not None else KFold(5)
    search = GridSearchCV(Ridge(), {"alpha": np.logspace(0, 5, 11)}, cv=folds, scoring="neg_mean_absolute_error")
    return search.fit(inputs[0], labels, groups=groups).predict(inputs[1])[:, None]


def table(rows: dict[str, list[dict[str, float]]], metrics: tuple[str, ...]) -> str:
    """Markdown: mean ± sample standard deviation over seeds."""
    lines = [f"| | {' | '.join(metrics)} | n |", f"| --- |{' --- |' * (len(metrics) + 1)}"]
    for name, seeds in rows.items():
        cells = []
        for metric in metrics:
            values = [scores[metric] for scores in seeds]
            cells.append(f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else ""))
        lines.append(f"| {name} | {' | '.join(cells)} | {len(seeds)} |")
    return "\n".join(lines)


def main() -> None:
    options = arguments()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    cells = [(recipe, seed) for seed in seeds for recipe in options.recipes]
    with ThreadPoolExecutor(options.jobs) as pool:
        folders = dict(zip(cells, pool.map(lambda cell: run_cell(options, *cell), cells), strict=True))
    for recipe in options.recipes:
        rows = {f"omib, {recipe}": [own_scores(folders[recipe, seed]) for seed in seeds]}
        references = [reference_scores(folders[recipe, seed], seed) for seed in seeds]
        rows |= {name: [scores[name] for scores in references] for name in references[0]}
        task = "regression" if "mae" in rows[f"omib, {recipe}"][0] else "classification"
        metrics = [name for name in SHOWN[task] if name in rows[f"omib, {recipe}"][0]]
        print(f"\n## {recipe}\n\n{table(rows, tuple(metrics))}", flush=True)


if __name__ == "__main__":
    main()
