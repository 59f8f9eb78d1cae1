"""What simple models reach on the samples that a run is judged on, fitted to its training split.

A number says little by itself: that of a linear model on the same columns tells what the network adds to it.
Modalities stand side by side; a sample without one has the training samples' mean there.
Notation: N samples, D columns of all modalities, C outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omib_cli.artifacts import format as fmt
from omib_cli.evaluation.metrics import RunScores, score_predictor
from omib_cli.evaluation.runs import Predictor
from omib_cli.runtime.seeds import derive_seed

if TYPE_CHECKING:
    from omib_cli.artifacts.dataset import Dataset
    from omib_cli.evaluation.runs import Run

Floats = NDArray[np.float64]

MOST_NUMBERS = 20_000_000
"""Most numbers in the training split (N times D, times the classes where there are more than two) that linear models
are fitted to: some ten seconds for them all."""
MOST_FOR_TREES = 1_000_000
"""The same for a forest and for boosting."""
TREES = ("forest", "boosting")
LEAST_SAMPLES = 10
"""Fewer training samples are not fitted to."""
FOLDS = 5
"""Of the cross-validation that chooses a linear model's penalty, inside the training split."""
PENALTIES = tuple(10.0**power for power in range(-4, 1))
"""C of logistic regression; ridge regression has 1 / C times the number of training samples."""
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Columns:
    """Rows of a dataset: by modality (N, D_i) with NaN where a sample lacks it, labels and ids (N,)."""

    values: dict[str, Floats]
    labels: Floats
    ids: list[str] = field(default_factory=list)

    def side_by_side(self, names: Sequence[str]) -> Floats:
        """(N, D) of some modalities."""
        return np.concatenate([self.values[name] for name in names], axis=1)


def with_references(scores: RunScores, run: Run, data: Dataset | None) -> RunScores:
    """The scores of a run with those of the references that its recipe names, on its headline split.

    ``no_references`` says why those that are wanted and not there could not be had.

    Parameters
    ----------
    data
        The dataset that was embedded, open with all its splits; None where it is not at hand.
    """
    wanted = run.recipe.evaluate.references
    if not wanted:
        return replace(scores, no_references="evaluate.references names none")
    if data is None:
        why = "the dataset that was embedded is not at hand; omib evaluate --dataset FILE says where it is"
        return replace(scores, no_references=why)
    if why := obstacle(run, data):
        return replace(scores, no_references=why)
    small = _numbers(run, data) <= MOST_FOR_TREES
    kinds = [kind for kind in wanted if small or kind not in TREES]
    fitted, held = read_columns(data, "train"), read_columns(data, run.headline)
    found = {
        each.name: score_predictor(run, each, each.present, scores.bootstrap, run.headline)
        for each in predictors(run, fitted, held, kinds)
    }
    left_out = "" if len(kinds) == len(wanted) else _too_many(run, data, "trees", MOST_FOR_TREES)
    return replace(scores, references=found, no_references=left_out)


def obstacle(run: Run, data: Dataset) -> str:
    """Why there are no references; nothing where there can be."""
    if run.scores_anomalies:
        return "simple models need labels, and anomalies are found without any"
    if run.recipe.task.kind == "survival":
        return "the simple models of this comparison do not know of censoring"
    if run.headline == "train":
        return "there are no samples but those that simple models are fitted to"
    if other := [name for name, each in data.modalities.items() if each.kind != fmt.VECTOR]:
        return f"simple models take vectors, which {', '.join(other)} is not"
    count = len(data.rows("train"))
    if count < LEAST_SAMPLES:
        return f"{count} training samples are too few for simple models"
    return _too_many(run, data, "simple models", MOST_NUMBERS) if _numbers(run, data) > MOST_NUMBERS else ""


def _numbers(run: Run, data: Dataset) -> int:
    """What fitting takes time for: samples times columns, times classes where there are more than two."""
    outputs = len(run.classes) if len(run.classes) > 2 else 1
    return len(data.rows("train")) * _width(data) * outputs


def _width(data: Dataset) -> int:
    return sum(each.shape[0] for each in data.modalities.values())


def _too_many(run: Run, data: Dataset, what: str, most: int) -> str:
    classes = f", {len(run.classes)} classes" if len(run.classes) > 2 else ""
    size = f"{len(data.rows('train')):,} training samples of {_width(data):,} columns{classes}"
    return f"{size} are more than the {most:,} numbers that {what} are fitted to"


def read_columns(data: Dataset, split: str) -> Columns:
    """A split whose modalities are all vectors."""
    rows = data.rows(split)
    present = data.present(rows)
    values = {}
    for index, name in enumerate(data.modalities):
        values[name] = data.values(name, rows).astype(np.float64)
        values[name][~present[:, index]] = np.nan
    return Columns(values, data.labels(rows), data.ids(rows))


def predictors(run: Run, fitted: Columns, held: Columns, kinds: Sequence[str]) -> Iterator[Predictor]:
    """References as `evaluate.references` names them, fitted to some samples, scored on those a run is judged on."""
    from threadpoolctl import threadpool_limits

    place = {one: row for row, one in enumerate(held.ids)}
    judged = np.flatnonzero(run.split == run.headline)
    order = [place[one] for one in run.ids[judged].tolist()]
    known = np.isfinite(fitted.labels)
    labels = fitted.labels[known]
    present = np.zeros(len(run.ids), dtype=bool)
    present[judged] = True
    for name, model, modalities in _models(run, labels, kinds):
        with threadpool_limits(1):  # of data this small, several threads wait for each other most of the time
            model.fit(fitted.side_by_side(modalities)[known], labels)
            found = _scores(model, held.side_by_side(modalities)[order], len(run.classes))
        scores = np.full((len(run.ids), found.shape[1]), np.nan)
        scores[judged] = found
        yield Predictor(name, scores, present)


def alone(modality: str) -> str:
    """The name of the linear model of one modality."""
    return f"linear on {modality}"


def label_of(name: str, run: Run) -> str:
    """What a reference is called: ``logistic regression on rna alone``."""
    linear = "logistic regression" if run.classes else "ridge regression"
    fixed = {
        "constant": "most frequent class" if run.classes else "median",
        "linear": linear,
        "forest": "random forest",
        "boosting": "gradient boosting",
    }
    return fixed.get(name) or {alone(one): f"{linear} on {one} alone" for one in run.modalities}.get(name, name)


def _models(run: Run, labels: Floats, kinds: Sequence[str]) -> Iterator[tuple[str, Any, list[str]]]:
    """Name, unfitted model and the modalities that it sees."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    make = _classifier if run.classes else _regressor
    for kind in kinds:
        several = [(kind, list(run.modalities))]
        if kind == "modalities":
            several = [(alone(name), [name]) for name in run.modalities if len(run.modalities) > 1]
        for name, modalities in several:
            model = make("linear" if kind == "modalities" else kind, labels, derive_seed(run.recipe.seed, name) % 2**32)
            # A column that no training sample has stays as 0: every model sees as many columns as it was fitted to.
            yield name, make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model), modalities


def _classifier(kind: str, labels: Floats, seed: int) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    if kind == "constant":
        return DummyClassifier(strategy="prior")
    if kind == "forest":
        return RandomForestClassifier(n_estimators=200, random_state=seed)
    if kind == "boosting":
        return HistGradientBoostingClassifier(random_state=seed)
    counts = np.unique(labels, return_counts=True)[1]
    if counts.min() < FOLDS:  # a fold would lack a class
        return LogisticRegression(max_iter=5000)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return GridSearchCV(LogisticRegression(max_iter=5000), {"C": PENALTIES}, cv=folds, scoring="neg_log_loss")


def _regressor(kind: str, labels: Floats, seed: int) -> Any:
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import RidgeCV

    if kind == "constant":
        return DummyRegressor(strategy="median")
    if kind == "forest":
        return RandomForestRegressor(n_estimators=100, max_features=1 / 3, random_state=seed)
    if kind == "boosting":
        return HistGradientBoostingRegressor(random_state=seed)
    return RidgeCV([len(labels) / penalty for penalty in PENALTIES] + [1.0])


def _scores(model: Any, values: Floats, classes: int) -> Floats:
    """What :meth:`Task.scores` are: log-probabilities (N, C), or values (N, 1)."""
    if not classes:
        return np.asarray(model.predict(values), dtype=np.float64)[:, None]
    found = np.full((len(values), classes), TINY)  # of a class that no training sample has
    found[:, model.classes_.astype(int)] = np.maximum(model.predict_proba(values), TINY)
    return np.asarray(np.log(found))
