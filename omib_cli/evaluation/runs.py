"""An embedding as evaluation sees it: what was predicted, by which head, for which split, after what history."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omib_cli.artifacts.embedding import (
    BASELINE,
    COMPRESSION,
    HIGH,
    LOGITS,
    LOW,
    NOVELTY,
    OUTPUT,
    SET,
    SPATIAL,
    joined_sets,
    read_embedding,
)
from omib_cli.artifacts.format import ALL_SPLITS
from omib_cli.artifacts.provenance import Provenance
from omib_cli.artifacts.stored_recipe import recipe_of
from omib_cli.errors import DataError
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.tasks import TASKS
from omib_cli.tasks.base import Task
from omib_cli.tasks.hazard import Baseline
from omib_cli.tasks.survival import Survival

if TYPE_CHECKING:
    import anndata

FUSED = "fused"
"""The name of the fused head among predictors; each other predictor is called after its modality."""


MEAN_KL = ("mmib-cui", "e-mib", "l-mib", "c-mib")
"""Methods whose KL is a mean over the dimensions of a bottleneck, as their sources have it."""


@dataclass(frozen=True)
class Predictor:
    """One head's scores (N, C), see :meth:`Task.scores`; rows of samples that lack its modality are not ``present``."""

    name: str
    scores: NDArray[np.float64]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class Within:
    """Sets of classes, or intervals of values, that are to hold the truth.

    Attributes
    ----------
    holds
        Whether they do (N,); False where it is unknown.
    size
        Number of classes, or width in the label's unit (N,).
    """

    holds: NDArray[np.bool_]
    size: NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One embedding and all that the report says about it.

    Attributes
    ----------
    values
        The embedding ξ (N, k).
    ids
        Of the samples (N,).
    split
        Name of each sample's split (N,).
    labels
        Class index, value, or time, negative if censored (N,); NaN where unknown.
    groups
        Group of each sample (N,), or None.
    coordinates
        Position of each sample (N, 2), or None.
    predictors
        The fused head first, then each modality's own branch, where there is one.
    compression
        By modality, its bottleneck's divergence from the prior in nats (N,), where it has one.
    novelty
        By modality, how unlike the training samples a sample is (N,), 0 to 1, NaN where it does not have it.
    within
        What is to hold the truth, where the embedding says.
    """

    path: Path
    provenance: Provenance
    recipe: Recipe
    task: Task
    modalities: list[str]
    values: NDArray[np.float32]
    ids: NDArray[np.str_]
    split: NDArray[np.str_]
    labels: NDArray[np.float64]
    groups: NDArray[np.str_] | None
    coordinates: NDArray[np.float64] | None
    predictors: list[Predictor]
    compression: dict[str, NDArray[np.float64]]
    novelty: dict[str, NDArray[np.float64]]
    within: Within | None = None

    @property
    def classes(self) -> list[str]:
        """Class names; empty in regression."""
        return self.task.classes

    @property
    def scores_anomalies(self) -> bool:
        """Whether a prediction is a score of how anomalous a sample is."""
        return self.recipe.task.kind == "anomaly"

    @property
    def sizes(self) -> dict[str, int]:
        """Number of samples in each split that has any."""
        counts = {name: int((self.split == name).sum()) for name in ALL_SPLITS}
        return {name: count for name, count in counts.items() if count}

    @property
    def headline(self) -> str:
        """The split whose numbers are quoted: new samples, test, or the nearest thing to it that the embedding has."""
        return next(name for name in reversed(ALL_SPLITS) if name in self.sizes)

    @property
    def data(self) -> str:
        """What the samples come from, by digest, whatever the seed; earlier versions kept the dataset's hash alone."""
        return str(self.provenance.facts.get("data") or self.provenance.parents.get("dataset", ""))

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row per epoch, warm-up first."""
        return list(self.provenance.notes.get("history") or [])

    @property
    def beta(self) -> dict[str, Any] | None:
        """Beta, how it was chosen and its bounds; None for methods without one."""
        return self.provenance.notes.get("beta")

    @property
    def kl_unit(self) -> str:
        """Unit of the divergences in the history: some methods average them over a bottleneck's dimensions."""
        options = self.recipe.fusion
        averaged = options.method in MEAN_KL or getattr(options, "kl_reduction", "sum") == "mean"
        return "nats per dimension" if averaged else "nats"

    @property
    def draws(self) -> int:
        """How many draws of its codes an embedding averages, in training or here."""
        options = self.recipe.fusion
        return max(1, getattr(options, "draws", 1), getattr(options, "inference_samples", 0))

    @property
    def is_held_out(self) -> bool:
        """Whether the headline split took no part in training or choosing."""
        return self.headline in ("test", "new")

    @property
    def selects_epoch(self) -> bool:
        """Whether the validation split chose the weights of a phase."""
        recipe = self.recipe
        return recipe.train.select != "last" or (recipe.warms_up and recipe.warmup.select != "last")

    @property
    def branches_see_embedding(self) -> bool:
        """Whether a modality's branch predicts from [z, ξ], so that it does not speak for its modality alone."""
        return getattr(self.recipe.fusion, "main_training", None) == "full"

    def head_label(self, predictor: str) -> str:
        """What a prediction head is called: a branch that sees the embedding says so."""
        return predictor if predictor == FUSED or not self.branches_see_embedding else f"{predictor} + ξ"

    @property
    def information(self) -> dict[str, Any] | None:
        """Estimates of entropies and mutual information, as (mean, standard deviation) in nats."""
        return self.provenance.notes.get("information")


def read_run(path: Path) -> Run:
    """Read an embedding.

    Raises
    ------
    DataError
        Missing, damaged, not an embedding of omib's, or without samples, or without a label that could be compared.
    MismatchError
        Its recipe is of a version that this one does not understand.
    """
    data, provenance = read_embedding(path, _is_read)
    if data.n_obs == 0:
        raise DataError("the embedding has no samples", where=path, do="omib embed makes it again")
    recipe = recipe_of(provenance, path)
    modalities = list(provenance.facts.get("modalities") or recipe.modalities)
    classes = [str(name) for name in provenance.facts.get("classes") or []]
    task = TASKS.implementation(recipe.task.kind)(recipe.task, classes)
    if isinstance(task, Survival) and (baseline := provenance.notes.get(BASELINE)) is not None:
        task.baseline = Baseline.of(baseline)
    try:
        if recipe.task.kind != "anomaly":
            data = _labelled(data, classes)
        return Run(
            path=path,
            provenance=provenance,
            recipe=recipe,
            task=task,
            modalities=modalities,
            values=np.asarray(data.X, dtype=np.float32),
            ids=data.obs_names.to_numpy().astype(str),
            split=data.obs["split"].to_numpy().astype(str),
            labels=_labels(data, classes),
            groups=data.obs["group"].to_numpy().astype(str) if "group" in data.obs else None,
            coordinates=np.asarray(data.obsm[SPATIAL], dtype=np.float64) if SPATIAL in data.obsm else None,
            predictors=_predictors(data, task, modalities),
            compression=_by_modality(data, COMPRESSION, modalities),
            novelty=_by_modality(data, NOVELTY, modalities),
            within=_within(data, classes),
        )
    except KeyError as error:
        raise DataError("the embedding lacks a part", where=path, got=error, do="omib embed makes it again") from error


def _by_modality(data: anndata.AnnData, prefix: str, modalities: list[str]) -> dict[str, NDArray[np.float64]]:
    """The columns that there are of a number for each modality, (N,) each."""
    columns = {name: f"{prefix}_{name}" for name in modalities}
    return {name: data.obs[key].to_numpy(dtype=np.float64) for name, key in columns.items() if key in data.obs}


def _is_read(place: str) -> bool:
    """Whether an evaluation looks at an array: of large embeddings the rest, such as spreads, would take the memory."""
    return place.startswith(_READ)


_READ = tuple(
    [f"obs/{name}" for name in (SET, LOW, HIGH)]
    + ["obs/split", "obs/label", "obs/group", "obs/has_", f"obs/{COMPRESSION}_", f"obs/{NOVELTY}_"]
    + [f"obsm/{name}" for name in (LOGITS, OUTPUT, SPATIAL)]
)


def _labelled(data: anndata.AnnData, classes: list[str]) -> anndata.AnnData:
    """The samples whose label is known; all of them where that is none, as of new samples it may be."""
    known = ~np.isnan(_labels(data, classes))
    return data[known] if known.any() and not known.all() else data


def _labels(data: anndata.AnnData, classes: list[str]) -> NDArray[np.float64]:
    """Class index or value (N,), NaN where unknown; earlier versions wrote the index in place of the name."""
    column = data.obs["label"]
    if not classes or column.dtype.kind == "f":
        return np.asarray(column.to_numpy(dtype=np.float64))
    index = {name: float(code) for code, name in enumerate(classes)}
    return np.array([index.get(str(name), np.nan) for name in column])


def _within(data: anndata.AnnData, classes: list[str]) -> Within | None:
    labels = _labels(data, classes)
    known = np.isfinite(labels)
    if LOW in data.obs:
        low, high = (data.obs[name].to_numpy(dtype=np.float64) for name in (LOW, HIGH))
        return Within((low <= labels) & (labels <= high), high - low)
    if SET not in data.obs:
        return None
    names = np.array(joined_sets(np.eye(len(classes), dtype=bool), classes))[np.where(known, labels, 0).astype(np.intp)]
    sets = [str(text).split("|") for text in data.obs[SET]]
    holds = [name in own for name, own in zip(names, sets, strict=True)]
    return Within(np.array(holds) & known, np.array([len(own) for own in sets], dtype=np.float64))


def _predictors(data: anndata.AnnData, task: Task, modalities: list[str]) -> list[Predictor]:
    everyone = np.ones(data.n_obs, dtype=bool)
    found = [Predictor(FUSED, _scores(data, task, ""), everyone)]
    for name in modalities:
        if f"{OUTPUT}_{name}" in data.obsm:
            scores = _scores(data, task, f"_{name}")
            has = data.obs[f"has_{name}"].to_numpy(dtype=bool) if f"has_{name}" in data.obs else everyone
            found.append(Predictor(name, scores, has & np.isfinite(scores).all(axis=1)))
    return found


def _scores(data: anndata.AnnData, task: Task, suffix: str) -> NDArray[np.float64]:
    """A head's scores: from its logits, or, in an embedding of an earlier version, from the class probabilities."""
    if f"{LOGITS}{suffix}" in data.obsm:
        return task.scores(np.asarray(data.obsm[f"{LOGITS}{suffix}"]))
    return task.from_readable(np.asarray(data.obsm[f"{OUTPUT}{suffix}"]))
