r"""Settings of a recipe compared inside its training split, by cross-validation; nothing else of the data is read.

    omib prepare rosmap --input ../shared/data/rosmap -o rosmap.h5
    python benchmarks/cross_validate.py rosmap rosmap.h5 --beta 0.021 --repeats 3 \
        --try "fusion.samples=4" --try "train.epochs=80"

Each ``--try`` holds settings as ``--set`` takes them, with spaces between; the recipe as it is comes first, a random
forest last. For classification into two classes: accuracy, AUC, log-loss and the share that is called positive, mean
and standard deviation over repetitions, each of which divides the samples anew. Beta is given, since estimating it in
every fold would take longer than training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.partial import Partial
from omib_cli.data.samples import Samples, read_split
from omib_cli.recipe.load import load_recipe
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.training.inference import dataset_facts
from omib_cli.training.log import MetricsLog
from omib_cli.training.loop import Trainer
from omib_cli.training.model import fresh_model
from omib_cli.training.phases import main_phase, warmup_phase

FOLDS = 5
CPU = torch.device("cpu")
Predict = Callable[[Samples, Samples, int], np.ndarray]
"""Training samples, held-out samples and a seed to the held-out probabilities of the second class."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--try", action="append", default=[], dest="settings")
    parser.add_argument("--beta", type=float, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def network(recipe: Recipe, facts: dict, beta: float) -> Predict:
    """Both phases of a recipe, without files that outlive them."""

    def predict(train: Samples, held: Samples, seed: int) -> np.ndarray:
        seeded = recipe.model_copy(update={"seed": seed})
        model = fresh_model(seeded, facts, CPU, print)
        with tempfile.TemporaryDirectory() as folder:
            for make in (warmup_phase, main_phase) if seeded.warms_up else (main_phase,):
                phase = make(model, seeded)
                if phase.name == "train" and seeded.fusion.uses_beta:
                    model.fusion.set_beta(beta, 1.0)
                where = Path(folder) / phase.name
                job = Job(threads=1, save_every=float("inf"))
                log = MetricsLog(where.with_suffix(".jsonl"))
                Trainer(model, phase, seed, Partial(where, "", job), log, job).run(train, None)
        with torch.no_grad():
            outputs = model.eval().fuse(held).output
        return np.exp(model.task.scores(outputs.numpy()))[:, 1]

    return predict


def forest(train: Samples, held: Samples, seed: int) -> np.ndarray:
    fitted, judged = (torch.cat([each.flatten(1) for each in side.values], dim=1).numpy() for side in (train, held))
    model = RandomForestClassifier(n_estimators=500, random_state=seed)
    return model.fit(fitted, train.labels.numpy()).predict_proba(judged)[:, 1]


def validate(predict: Predict, samples: Samples, repeats: int) -> np.ndarray:
    """Accuracy, AUC, log-loss and share called positive of each repetition: (repeats, 4)."""
    labels, found = samples.labels.numpy(), []
    for repeat in range(repeats):
        held_out = np.zeros(len(labels))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=repeat).split(labels, labels)
        for fold, (fit, held) in enumerate(folds):
            sides = (samples.take(torch.as_tensor(index)) for index in (fit, held))
            held_out[held] = predict(*sides, repeat * FOLDS * 2 + fold)
        called = held_out > 0.5
        found.append(
            [(called == labels).mean(), roc_auc_score(labels, held_out), log_loss(labels, held_out), called.mean()]
        )
    return np.array(found)


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    with Dataset(options.dataset) as data:
        samples, facts = read_split(data, "train", CPU), dataset_facts(data)
    print(
        f"{len(samples)} samples, {samples.labels.mean():.3f} positive; {FOLDS} folds, {options.repeats} repetitions\n"
    )
    print("| settings | accuracy | AUC | log-loss | called positive | seconds |\n| --- | --- | --- | --- | --- | --- |")
    rows = {text or "the recipe": text.split() for text in ("", *options.settings)}
    tried = {name: network(load_recipe(options.recipe, sets), facts, options.beta) for name, sets in rows.items()}
    for name, predict in {**tried, "random forest": forest}.items():
        started = time.monotonic()
        found = validate(predict, samples, options.repeats)
        cells = [
            f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(found.mean(axis=0), found.std(axis=0, ddof=1), strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} | {time.monotonic() - started:.0f} |", flush=True)


if __name__ == "__main__":
    main()
