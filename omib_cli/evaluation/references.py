"""What simple models reach on the samples that a run is judged on, fitted to its training split.

A number says little by itself: that of a linear model on the same columns tells what the network adds to it.
Modalities stand side by side; a sample without one has the training samples' mean there.
Notation: N samples, D columns of all modalities, C outputs.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omib_cli import __version__
from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.files import replacing
from omib_cli.evaluation.cox import CoxRidge
from omib_cli.evaluation.metrics import RunScores, score_predictor
from omib_cli.evaluation.runs import Predictor
from omib_cli.recipe.sources.tables import TablesOptions
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
NO_TREES = "no library with a permissive licence has a forest or boosting that knows of censoring"
LEAST_SAMPLES = 10
"""Fewer training samples are not fitted to."""
FOLDS = 5
"""Of the cross-validation that chooses a linear model's penalty, inside the training split."""
PENALTIES = tuple(10.0**power for power in range(-4, 1))
"""C of logistic regression; ridge regression has 1 / C times the number of training samples."""
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Columns:
    """Rows of a dataset: by modality (N, D_i) with NaN where a sample lacks it, and labels (N,)."""

    values: dict[str, Floats]
    labels: Floats

    def side_by_side(self, names: Sequence[str]) -> Floats:
        """(N, D) of some modalities."""
        return np.concatenate([self.values[name] for name in names], axis=1)


def with_references(scores: RunScores, run: Run, data: Dataset | None, kept: Path | None = None) -> RunScores:
    """The scores of a run with those of the references that its recipe names, on its headline split.

    ``no_references`` says why those that are wanted and not there could not be had.

    Parameters
    ----------
    data
        The dataset that was embedded, open with all its splits; None where it is not at hand.
    kept
        A folder in which predictions are kept that other runs of the same dataset have in common.
    """
    wanted = run.recipe.evaluate.references
    if not wanted:
        return replace(scores, no_references="evaluate.references names none")
    if data is None:
        why = "the dataset that was embedded is not at hand; omib evaluate --dataset FILE says where it is"
        return replace(scores, no_references=why)
    if why := obstacle(run, data):
        return replace(scores, no_references=why)
    found = {
        each.name: score_predictor(run, each, each.present, scores.bootstrap, run.headline)
        for each in predictors(run, data, wanted, kept)
    }
    return replace(scores, references=found, no_references=_no_trees(run, data) if set(wanted) & {*TREES} else "")


def obstacle(run: Run, data: Dataset) -> str:
    """Why there are no references; nothing where there can be."""
    if run.scores_anomalies:
        return "simple models need labels, and anomalies are found without any"
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
    return Columns(values, data.labels(rows))


def predictors(run: Run, data: Dataset, wanted: Sequence[str], kept: Path | None = None) -> list[Predictor]:
    """References as `evaluate.references` names them, fitted to the training split, on the samples a run is judged on.

    Trees are left out where there can be none. Parameters as :func:`with_references` has them.
    """
    if (found := kept_predictors(run, wanted, kept)) is not None:
        return found
    kinds = [kind for kind in wanted if kind not in TREES or not _no_trees(run, data)]
    fitted, held = read_columns(data, "train"), read_columns(data, run.headline)
    scores, ids = fitted_scores(run, fitted, held, kinds), data.ids(data.rows(run.headline))
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        with replacing(_place(run, wanted, kept)) as temporary, temporary.open("wb") as file:
            np.savez(file, ids=np.array(ids), **scores)  # type: ignore[arg-type]
    return _matched(run, ids, scores)


def kept_predictors(run: Run, wanted: Sequence[str], kept: Path | None) -> list[Predictor] | None:
    """What :func:`predictors` has kept of a run's dataset; None where that is nothing, or cannot be read."""
    if kept is None:
        return None
    try:
        with np.load(_place(run, wanted, kept), allow_pickle=False) as file:
            return _matched(run, file["ids"].tolist(), {name: file[name] for name in file.files if name != "ids"})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _place(run: Run, wanted: Sequence[str], kept: Path) -> Path:
    what = [__version__, run.provenance.parents.get(fmt.DATASET), run.headline, run.recipe.task.kind, run.recipe.seed]
    return kept / f"references-{hashlib.sha256(json.dumps([*what, *wanted]).encode()).hexdigest()[:16]}.npz"


def _matched(run: Run, ids: Sequence[str], scores: dict[str, Floats]) -> list[Predictor]:
    """Scores of samples by id, among all samples of a run; NaN where it is not judged."""
    row_of = {one: row for row, one in enumerate(ids)}
    judged = run.split == run.headline
    order = [row_of[one] for one in run.ids[judged].tolist()]
    found = {name: np.full((len(run.ids), each.shape[1]), np.nan) for name, each in scores.items()}
    for name, every in found.items():
        every[judged] = scores[name][order]
    return [Predictor(name, every, judged) for name, every in found.items()]


def fitted_scores(run: Run, fitted: Columns, held: Columns, kinds: Sequence[str]) -> dict[str, Floats]:
    """The scores (N, C) of some samples by each reference, fitted to others."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    known = np.isfinite(fitted.labels)
    labels, found = fitted.labels[known], {}
    for name, model, modalities in _models(run, labels, kinds):
        with threadpool_limits(1):  # of data this small, several threads wait for each other most of the time
            # A column that no training sample has stays as 0: every model sees as many columns as it was fitted to.
            scaling = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
            own = scaling.fit_transform(fitted.side_by_side(modalities)[known])
            back = _blocks(run, fitted, modalities, scaling[-1].scale_)
            model.fit(own * back, labels)
            found[name] = _scores(model, scaling.transform(held.side_by_side(modalities)) * back, len(run.classes))
    return found


def _blocks(run: Run, columns: Columns, modalities: Sequence[str], deviations: Floats) -> Floats:
    """What standardised columns (D,) are multiplied with.

    Columns of a table that the recipe scales as a block have the deviations that the network sees, whose ratios mean
    something; all others 1.
    """
    data = run.recipe.data
    as_block = [isinstance(data, TablesOptions) and data.scaling(name).standardise == "block" for name in modalities]
    return np.where(np.repeat(as_block, [columns.values[name].shape[1] for name in modalities]), deviations, 1.0)


def _no_trees(run: Run, data: Dataset) -> str:
    """Why no trees are fitted; nothing where they are."""
    if run.recipe.task.kind == "survival":
        return NO_TREES
    return _too_many(run, data, "trees", MOST_FOR_TREES) if _numbers(run, data) > MOST_FOR_TREES else ""


def alone(modality: str) -> str:
    """The name of the linear model of one modality."""
    return f"linear on {modality}"


def label_of(name: str, run: Run) -> str:
    """What a reference is called: ``logistic regression on rna alone``."""
    if run.recipe.task.kind == "survival":
        linear, constant = "Cox regression", "the same risk for all"
    else:
        linear = "logistic regression" if run.classes else "ridge regression"
        constant = "most frequent class" if run.classes else "median"
    fixed = {
        "constant": constant,
        "linear": linear,
        "forest": "random forest",
        "boosting": "gradient boosting",
    }
    return fixed.get(name) or {alone(one): f"{linear} on {one} alone" for one in run.modalities}.get(name, name)


def _models(run: Run, labels: Floats, kinds: Sequence[str]) -> Iterator[tuple[str, Any, list[str]]]:
    """Name, unfitted model and the modalities that it sees."""
    make = _classifier if run.classes else _survival if run.recipe.task.kind == "survival" else _regressor
    for kind in kinds:
        several = [(kind, list(run.modalities))]
        if kind == "modalities":
            several = [(alone(name), [name]) for name in run.modalities if len(run.modalities) > 1]
        for name, modalities in several:
            model = make("linear" if kind == "modalities" else kind, labels, derive_seed(run.recipe.seed, name) % 2**32)
            yield name, model, modalities


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


def _survival(kind: str, _: Floats, seed: int) -> Any:
    from sklearn.dummy import DummyRegressor

    return DummyRegressor() if kind == "constant" else CoxRidge(seed=seed)


def _scores(model: Any, values: Floats, classes: int) -> Floats:
    """What :meth:`Task.scores` are: log-probabilities (N, C), or values (N, 1)."""
    if not classes:
        return np.asarray(model.predict(values), dtype=np.float64)[:, None]
    found = np.full((len(values), classes), TINY)  # of a class that no training sample has
    found[:, model.classes_.astype(int)] = np.maximum(model.predict_proba(values), TINY)
    return np.asarray(np.log(found))
