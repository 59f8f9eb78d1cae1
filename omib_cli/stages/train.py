"""``omib train``: Algorithm 2, the whole network with beta in its bound and r at each step. -> model.safetensors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import already_done, expect
from omib_cli.artifacts.checkpoint import read_checkpoint, write_checkpoint
from omib_cli.artifacts.dataset import Dataset, opened
from omib_cli.artifacts.information import Information, read_information
from omib_cli.artifacts.partial import Partial
from omib_cli.artifacts.prepared import arrays_of
from omib_cli.errors import MismatchError, UsageError, listed
from omib_cli.information.bounds import choose_beta, spread
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.start import prepare_torch
from omib_cli.stages.estimate_mi import needs_encodings
from omib_cli.stages.fitting import (
    log_beside,
    make_provenance,
    must_be_divisible,
    must_be_of,
    must_have_validation,
    must_have_warmup,
    read_splits,
    state_key,
)
from omib_cli.stages.plan import (
    INFORMATION,
    WARMUP,
    PlannedStep,
    information_step,
    kinds_of,
    needs_information,
    needs_warmup,
    take,
    warmup_step,
)
from omib_cli.stages.result import StageResult
from omib_cli.training.baseline import fit_survival
from omib_cli.training.calibration import ENOUGH, fit_calibration
from omib_cli.training.inference import must_match, training_facts
from omib_cli.training.loop import Trainer
from omib_cli.training.model import MultimodalModel, fresh_model
from omib_cli.training.novelty import fit_novelty
from omib_cli.training.phases import main_phase
from omib_cli.training.start import freeze, start_from


def run(
    recipe: Recipe,
    dataset: Dataset | Path,
    out: Path,
    job: Job,
    information: Path | None = None,
    warmup: Path | None = None,
    start: Path | None = None,
) -> StageResult:
    """Train on the training split of a dataset, open or by its path.

    Where ``information`` or ``warmup`` is not given and the recipe needs it, it is made first and stays beside
    ``out`` as information.h5 or warmup.safetensors. Where training starts from a trained model, ``start``, neither is
    needed: its weights and its beta are taken over.

    Raises
    ------
    UsageError
        A warm-up checkpoint is given for a method that has no warm-up, or several processes for one that needs one; or
        a warm-up beside a trained model to start from, or something to freeze without one.
    MismatchError
        The inputs were not made for each other, or ``out`` was made otherwise.
    DataError, NumericError, Interrupted
        As for warm-up.
    """
    with opened(dataset) as data:
        must_start(recipe, data, information, warmup, start)
        return take(plan(recipe, data, out, information, warmup, start=start), job)


def must_start(
    recipe: Recipe,
    data: Dataset,
    information: Path | None = None,
    warmup: Path | None = None,
    start: Path | None = None,
) -> None:
    """Refuse, before hours of warm-up and estimation, what training would refuse after them; as :func:`run` does."""
    must_be_divisible(recipe)
    if start is None and recipe.train.freeze:
        raise UsageError(
            "train.freeze keeps what a trained model has learnt, and there is none", do="name it: --start-from MODEL"
        )
    if start is not None:
        _must_continue(data, start, warmup)
    if warmup is not None:
        must_have_warmup(recipe, "leave --warmup out")
    data.must_fit(list(recipe.modalities), recipe.task.kind)
    must_have_validation(data, recipe.train, "train")
    if information is None and (start is not None or not needs_information(recipe)):
        _must_not_scale(recipe)
    must_be_of(data, {fmt.WARMUP: warmup, fmt.INFORMATION: information})


def plan(
    recipe: Recipe,
    dataset: Dataset | Path,
    out: Path,
    information: Path | None = None,
    warmup: Path | None = None,
    estimates: Path | None = None,
    start: Path | None = None,
) -> list[PlannedStep]:
    """The steps to a model: warm-up and estimation where they are needed and not given, then training.

    Parameters
    ----------
    dataset
        Open, or the path of one that is still to be made.
    estimates
        Where an estimation writes; None for beside ``out``.
    start
        A trained model to start from, in place of warm-up and estimation.
    """
    kinds = kinds_of(recipe, dataset if isinstance(dataset, Dataset) else None)
    steps = []
    if start is None and warmup is None and needs_warmup(recipe, kinds):
        warmup = out.with_name(WARMUP)
        steps.append(warmup_step(recipe, dataset, warmup))
    if start is None and information is None and needs_information(recipe):
        information = estimates or out.with_name(INFORMATION)
        encodings = warmup if needs_encodings(recipe, kinds) else None
        steps.append(information_step(recipe, dataset, information, encodings))
    words = f"train {recipe.fusion.method}: {recipe.main_phase.epochs} epochs, batch {recipe.train.batch}"
    words += f", from {start}" if start else ""
    return [*steps, PlannedStep(out, words, partial(_train, recipe, dataset, out, information, warmup, start))]


def _train(
    recipe: Recipe,
    dataset: Dataset | Path,
    out: Path,
    information: Path | None,
    warmup: Path | None,
    start: Path | None,
    job: Job,
) -> StageResult:
    """Train, now that everything that training starts from is there."""
    with opened(dataset) as data:
        parents = {
            fmt.DATASET: data.provenance.hash,
            **must_be_of(data, {fmt.INFORMATION: information, fmt.WARMUP: warmup}),
            **({fmt.MODEL: expect(start, fmt.MODEL).hash} if start else {}),
        }
        if (found := already_done(out, fmt.MODEL, recipe, parents, job)) is not None:
            return StageResult.of(out, found, already_there=True)
        device = prepare_torch(job)
        known = read_information(information) if information else None
        state = Partial(out, state_key(fmt.MODEL, recipe, parents), job)
        train, validation = read_splits(data, recipe.train, "train", device, job)
        facts = training_facts(recipe, data)
        model = fresh_model(recipe, facts, device, job.progress.warn)
        log = log_beside(out, _load_warmup(warmup, data, model) if warmup else [])
        begun = _start(start, model, recipe, data, job) if start else {}
        beta = _set_beta(recipe, model, known, job, begun.get("beta"))
        trainer = Trainer(model, main_phase(model, recipe), recipe.seed, state, log, job)
        kept = trainer.run(train, validation)
        prepared = arrays_of(data)
        carried = {
            **prepared,
            **fit_novelty(model, data, recipe.seed),
            **fit_calibration(model, data, recipe.seed),
            **fit_survival(model, data, recipe.seed),
        }
        _say_uncalibrated(recipe, len(data.rows("validation")), job)
    provenance = make_provenance(
        fmt.MODEL, recipe, parents, {**facts, "prepared": sorted(prepared), "epoch": kept, "beta": beta}, device, job
    )
    provenance.notes = {
        "history": log.history,
        "information": _summary(known),
        "figures": _figures(log.rows, kept, beta),
    }
    write_checkpoint(out, model.state_dict(), provenance, carried)
    state.discard()
    return StageResult.of(out, provenance)


def _say_uncalibrated(recipe: Recipe, held_out: int, job: Job) -> None:
    """Say where there is nothing honest to calibrate probabilities by: the training samples are too well known."""
    if recipe.task.kind == "classification" and held_out < ENOUGH:
        job.progress.note(
            f"{held_out} validation samples: too few (of {ENOUGH}) for a temperature, so that class probabilities "
            "stay as the network gives them"
        )


def _load_warmup(checkpoint: Path, data: Dataset, model: Any) -> list[dict[str, Any]]:
    """Put the warm-up's weights into the model; returns the warm-up's history."""
    weights, provenance = read_checkpoint(checkpoint, fmt.WARMUP)
    must_match(provenance, data, checkpoint)
    model.load_warmup(weights, checkpoint)
    history: list[dict[str, Any]] = provenance.notes.get("history", [])
    return history


def _must_continue(data: Dataset, start: Path, warmup: Path | None) -> None:
    """Refuse a trained model to start from that is none, or that has been warmed up already."""
    expect(start, fmt.MODEL)
    if warmup is not None:
        raise UsageError(
            "a trained model needs no warm-up", got="--warmup and --start-from", do="leave one of them out"
        )
    if not len(data.rows("train")):
        raise MismatchError(
            "the dataset has no training split",
            where=data.path,
            do=f"omib prepare --like {start} --split train makes labelled samples one",
        )


def _start(start: Path, model: MultimodalModel, recipe: Recipe, data: Dataset, job: Job) -> dict[str, Any]:
    """Take over a trained model's weights, and say what is not taken over; what else it knows, such as beta."""
    trained, anew = start_from(start, model, recipe, data)
    if anew:
        job.progress.warn(
            f"the classes are {listed(data.classes)}, those of {start.name} {listed(trained.facts['classes'])}: the "
            f"last layers of the heads start anew ({len(anew)} weights)"
        )
    if fmt.MODEL not in data.provenance.parents:
        job.progress.note(
            f"{data.path.name} is scaled by its own samples; omib prepare --like {start} --split train scales them as "
            "those of the model were"
        )
    freeze(model, recipe.train.freeze)
    return dict(trained.facts)


def _set_beta(
    recipe: Recipe, model: Any, known: Information | None, job: Job, before: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Choose beta, give it to the fusion method, and say aloud when it is outside its bound.

    Without an estimate it is that of the model which training starts from, unless the recipe says its value.
    """
    if not recipe.fusion.uses_beta:
        return None
    if known is None and before is not None and recipe.beta.policy != "value":
        model.fusion.set_beta(before["value"], 1.0)
        return before
    beta = choose_beta(recipe.beta, known.bounds if known else None, recipe.seed, len(recipe.modalities))
    if known is None:
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
