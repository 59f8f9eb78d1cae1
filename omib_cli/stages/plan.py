"""What a command has to make, decided before it makes anything: ``--dry-run`` prints the steps, ``run`` takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omib_cli.artifacts.dataset import Dataset
from omib_cli.recipe.encoders import ENCODERS
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.stages import estimate_mi, warmup
from omib_cli.stages.result import StageResult

INFORMATION, WARMUP = "information.h5", "warmup.safetensors"
"""What intermediate results are called, beside the model that they are for."""


@dataclass(frozen=True)
class PlannedStep:
    """One artifact to be made.

    Attributes
    ----------
    out
        Where it goes.
    words
        What making it comes to, for ``--dry-run``.
    make
        Makes it, or finds that it is there and up to date; refuses as the stage does.
    """

    out: Path
    words: str
    make: Callable[[Job], StageResult]

    def __str__(self) -> str:
        return f"{self.words} -> {self.out}"


def take(steps: Sequence[PlannedStep], job: Job) -> StageResult:
    """Take the steps one after the other; the result is that of the last."""
    return [step.make(job) for step in steps][-1]


def kinds_of(recipe: Recipe, data: Dataset | None) -> list[str]:
    """The kind of each modality: of the dataset, or, before there is one, what the recipe's encoders read."""
    if data is not None:
        return [modality.kind for modality in data.modalities.values()]
    encoders = (ENCODERS.implementation(modality.encoder.kind) for modality in recipe.modalities.values())
    return [encoder.kinds[0] for encoder in encoders]


def needs_information(recipe: Recipe) -> bool:
    """Whether beta is to be taken from an estimated bound."""
    return recipe.fusion.uses_beta and recipe.beta.policy != "value"


def needs_warmup(recipe: Recipe, kinds: Sequence[str]) -> bool:
    """Whether a warm-up checkpoint is wanted: for its training, or for encodings to estimate the bound on.

    A warm-up of no epochs leaves the initial weights; the bound is then that of what the encoders make of the data at
    first.
    """
    if recipe.warms_up:
        return True
    return needs_information(recipe) and recipe.fusion.has_warmup and estimate_mi.needs_encodings(recipe, kinds)


def warmup_step(recipe: Recipe, dataset: Dataset | Path, out: Path) -> PlannedStep:
    """Each encoder with a head of its own."""
    words = f"warm-up: {recipe.warmup.epochs} epochs, batch {recipe.warmup.batch}"
    return PlannedStep(out, words, partial(warmup.run, recipe, dataset, out))


def information_step(recipe: Recipe, dataset: Dataset | Path, out: Path, checkpoint: Path | None) -> PlannedStep:
    """Entropies, mutual information and bounds; on the encodings of a warm-up checkpoint where one is given."""
    options, count = recipe.information, len(recipe.modalities)
    values = count + count * (count - 1) // 2
    words = f"estimate-mi: {values} quantities with {options.estimator}, {options.seeds} seeds"
    return PlannedStep(out, words, partial(estimate_mi.run, recipe, dataset, out, warmup=checkpoint))
