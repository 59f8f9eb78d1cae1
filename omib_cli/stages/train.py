"""``omib train``: Algorithm 2, the whole network with beta in its bound and r at each step. -> model.safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import already_done, expect
from omib_cli.artifacts.checkpoint import read_checkpoint, write_checkpoint
from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.information import Information, read_information
from omib_cli.artifacts.partial import Partial
from omib_cli.errors import MismatchError
from omib_cli.information.bounds import choose_beta, spread
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.start import prepare_torch
from omib_cli.stages import estimate_mi, warmup
from omib_cli.stages.fitting import (
    log_beside,
    make_provenance,
    must_be_divisible,
    must_have_validation,
    must_have_warmup,
    read_splits,
    state_key,
)
from omib_cli.stages.result import StageResult
from omib_cli.training.inference import dataset_facts, must_match
from omib_cli.training.loop import Trainer
from omib_cli.training.model import fresh_model
from omib_cli.training.phases import main_phase


@dataclass(frozen=True)
class _Inputs:
    """The files that training starts from; None where the recipe does without."""

    dataset: Path
    information: Path | None
    warmup: Path | None

    def parents(self) -> dict[str, str]:
        """Content hash of each, by kind."""
        named = {fmt.DATASET: self.dataset, fmt.INFORMATION: self.information, fmt.WARMUP: self.warmup}
        return {kind: expect(path, kind).hash for kind, path in named.items() if path is not None}


def run(
    recipe: Recipe, dataset: Path, out: Path, job: Job, information: Path | None = None, warmup: Path | None = None
) -> StageResult:
    """Train on the training split of a dataset.

    Where ``information`` or ``warmup`` is not given and the recipe needs it, it is made first and stays beside
    ``out`` as information.h5 or warmup.safetensors.

    Raises
    ------
    UsageError
        A warm-up checkpoint is given for a method that has no warm-up, or several processes for one that needs one.
    MismatchError
        The inputs were not made for each other, or ``out`` was made otherwise.
    DataError, NumericError, Interrupted
        As for warm-up.
    """
    must_be_divisible(recipe)
    if warmup is not None:
        must_have_warmup(recipe, "leave --warmup out")
    with Dataset(dataset) as data:  # before hours of warm-up and estimation
        data.must_fit(list(recipe.modalities), recipe.task.kind)
        must_have_validation(data, recipe.train, "train")
    inputs = _Inputs(dataset, information, warmup)
    _must_belong(inputs)
    inputs = _complete(recipe, inputs, out, job)
    parents = inputs.parents()
    if (found := already_done(out, fmt.MODEL, recipe, parents, job)) is not None:
        return StageResult.of(out, found, already_there=True)
    device = prepare_torch(job)
    known = read_information(inputs.information) if inputs.information else None
    partial = Partial(out, state_key(fmt.MODEL, recipe, parents), job)
    with Dataset(dataset) as data:
        train, validation = read_splits(data, recipe.train, "train", device, job)
        facts = dataset_facts(data)
        model = fresh_model(recipe, facts, device)
        log = log_beside(out, _load_warmup(inputs, data, model) if inputs.warmup else [])
        beta = _set_beta(recipe, model, known, job)
        trainer = Trainer(model, main_phase(model, recipe), recipe.seed, partial, log, job)
        kept = trainer.run(train, validation)
    provenance = make_provenance(fmt.MODEL, recipe, parents, {**facts, "epoch": kept, "beta": beta}, device, job)
    provenance.notes = {
        "history": log.history,
        "information": _summary(known),
        "figures": _figures(log.rows, kept, beta),
    }
    write_checkpoint(out, model.state_dict(), provenance)
    partial.discard()
    return StageResult.of(out, provenance)


def needs_information(recipe: Recipe) -> bool:
    """Whether beta is to be taken from an estimated bound."""
    return recipe.fusion.uses_beta and recipe.beta.policy != "value"


def needs_warmup(recipe: Recipe, dataset: Path) -> bool:
    """Whether a warm-up checkpoint is wanted: for its training, or for encodings to estimate the bound on.

    A warm-up of no epochs leaves the initial weights; the bound is then that of what the encoders make of the data at
    first.
    """
    if recipe.warms_up:
        return True
    estimates = needs_information(recipe) and recipe.fusion.has_warmup
    return estimates and estimate_mi.needs_encodings(recipe, dataset)


def _complete(recipe: Recipe, inputs: _Inputs, out: Path, job: Job) -> _Inputs:
    """Make the inputs that are needed and missing."""
    warm, known = inputs.warmup, inputs.information
    if warm is None and needs_warmup(recipe, inputs.dataset):
        warm = warmup.run(recipe, inputs.dataset, out.with_name("warmup.safetensors"), job).out
    if known is None and needs_information(recipe):
        encodings = estimate_mi.from_warmup(recipe, inputs.dataset, warm)
        known = estimate_mi.run(recipe, inputs.dataset, out.with_name("information.h5"), job, encodings).out
    return _Inputs(inputs.dataset, known, warm)


def _must_belong(inputs: _Inputs) -> None:
    """Refuse files that were given and are of another kind or of another dataset."""
    dataset = expect(inputs.dataset, fmt.DATASET)
    for kind, path in ((fmt.WARMUP, inputs.warmup), (fmt.INFORMATION, inputs.information)):
        if path is not None and (of := expect(path, kind).parents.get(fmt.DATASET)) != dataset.hash:
            raise MismatchError(
                f"{path.name} was made from another dataset",
                where=path,
                got=f"dataset {str(of)[:12]}",
                expected=f"{dataset.hash[:12]} ({inputs.dataset})",
                do="make it again from this dataset, or leave the option out",
            )


def _load_warmup(inputs: _Inputs, data: Dataset, model: Any) -> list[dict[str, Any]]:
    """Put the warm-up's weights into the model; returns the warm-up's history."""
    assert inputs.warmup is not None
    weights, provenance = read_checkpoint(inputs.warmup, fmt.WARMUP)
    must_match(provenance, data, inputs.warmup)
    model.load_warmup(weights, inputs.warmup)
    history: list[dict[str, Any]] = provenance.notes.get("history", [])
    return history


def _set_beta(recipe: Recipe, model: Any, known: Information | None, job: Job) -> dict[str, Any] | None:
    """Choose beta, give it to the fusion method, and say aloud when it is outside its bound."""
    if not recipe.fusion.uses_beta:
        return None
    beta = choose_beta(recipe.beta, known.bounds if known else None, recipe.seed, len(recipe.modalities))
    if known is None:
        _must_not_scale(recipe)
        job.progress.note(f"beta {beta['value']:.4g} is not compared with its bound: there is no information file")
    elif beta["above"]:
        job.progress.warn(
            f"beta {beta['value']:.4g} is above its upper bound M_u {beta['upper']:.4g}: "
            "the paper's guarantee that all task-relevant information is kept does not hold"
        )
    if beta["above_objective"]:
        job.progress.warn(
            f"beta {beta['value']:.4g} is above {beta['objective']:.4g}, the bound for the loss that is minimised: the "
            f"penalty may cost task-relevant information; beta.policy=value with a smaller beta.value stays below it"
        )
    model.fusion.set_beta(beta["value"], known.bounds["total"][recipe.beta.bound] if known else 1.0)
    return beta


def _must_not_scale(recipe: Recipe) -> None:
    """Refuse to scale the task's loss by an information that nobody has estimated."""
    if getattr(recipe.fusion, "task_scale", "one") != "one":
        raise MismatchError(
            "fusion.task_scale: joint-information needs an estimate of the information, and there is none",
            do="give --information FILE, or a beta.policy other than value",
        )


def _summary(known: Information | None) -> dict[str, Any] | None:
    """Means and standard deviations of an information file, as the report shows them."""
    if known is None:
        return None
    return {
        "estimator": known.provenance.facts.get("estimator"),
        "entropy": {name: _mean_sd(values.tolist()) for name, values in known.entropy.items()},
        "mutual": {"|".join(pair): _mean_sd(values.tolist()) for pair, values in known.mutual.items()},
        "limit": known.provenance.facts.get("limit"),
    }


def _mean_sd(values: list[float]) -> list[float]:
    """Mean and standard deviation over seeds; of a single seed the mean alone."""
    sd = spread(values)
    return [fmean(values)] if sd is None else [fmean(values), sd]


def _figures(rows: list[dict[str, Any]], kept: int, beta: dict[str, Any] | None) -> dict[str, Any]:
    row = rows[kept - 1] if rows else {}
    shown = {name: value for name, value in row.items() if name.startswith(("validation/", "r/"))}
    figures = {"epoch": kept, "loss": row.get("loss"), **shown}
    return figures if beta is None else {**figures, "beta": beta["value"]}
