"""``omib estimate-mi``: H(v_i), I(v_i; v_j) and the bounds on beta. dataset.h5 -> information.h5."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import already_done
from omib_cli.artifacts.dataset import Dataset, opened
from omib_cli.artifacts.information import write_information
from omib_cli.artifacts.partial import Partial
from omib_cli.distributed import processes
from omib_cli.errors import UsageError
from omib_cli.information.bounds import bounds_of_seeds, spread
from omib_cli.information.estimation import MutualInformation, estimate, is_below_zero, label_of
from omib_cli.information.inputs import Input, pair_rows, read_vectors, standardised, wants_encodings
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.start import prepare_torch
from omib_cli.stages.fitting import make_provenance, must_be_of, state_key
from omib_cli.stages.result import StageResult

NEAR_LIMIT = 0.9
"""Share of its limit from which an estimate says more about the number of samples than about the data."""
CLOSED_FORMS = ("gaussian", "saturation")
"""What has no critic, and no held-out samples that limit it."""


def run(recipe: Recipe, dataset: Dataset | Path, out: Path, job: Job, warmup: Path | None = None) -> StageResult:
    """Estimate on the training split of a dataset, open or by its path.

    Parameters
    ----------
    warmup
        Warm-up checkpoint, for `information.input: encodings` and for modalities that are no vectors.

    Raises
    ------
    MismatchError
        The files do not fit the recipe or each other, or ``out`` was made otherwise.
    DataError
        Too few samples.
    NumericError
        A critic diverged, or there is too little information for a bound.
    Interrupted
        Stopped, state saved.
    """
    with opened(dataset) as data:
        parents = {fmt.DATASET: data.provenance.hash, **must_start(recipe, data, warmup)}
        if (found := already_done(out, fmt.INFORMATION, recipe, parents, job)) is not None:
            return StageResult.of(out, found, already_there=True)
        device = prepare_torch(job)
        inputs = _read_inputs(recipe, data, warmup, job)
        _say_what_was_reduced(inputs, recipe.information.input, job)
    partial = Partial(out, state_key(fmt.INFORMATION, recipe, parents), job)
    found_estimates = _estimate_all(recipe, inputs, partial, job, device)
    entropy, mutual = _by_kind(found_estimates, list(inputs))
    bounds = bounds_of_seeds(entropy, mutual, recipe.information.floor)
    warnings = [*_limit_warnings(recipe, found_estimates), *_below_zero(found_estimates), *bounds["warnings"]]
    for warning in warnings:
        job.progress.warn(warning)
    facts = {
        "estimator": recipe.information.estimator,
        **_summary(found_estimates, recipe.information.estimator),
        "bounds": bounds,
    }
    facts["inputs"] = {name: each.what for name, each in inputs.items()}
    facts["components"] = {name: each.components.facts() for name, each in inputs.items() if each.components}
    facts["rows"] = {name: int(each.present.sum()) for name, each in inputs.items()}
    provenance = make_provenance(fmt.INFORMATION, recipe, parents, facts, device, job)
    provenance.notes = {
        "estimates": {name: [_noted(each) for each in several] for name, several in found_estimates.items()},
        "warnings": warnings,
        "figures": _figures(entropy, mutual, bounds),
    }
    arrays = {name: np.array(values) for name, values in entropy.items()}
    write_information(out, arrays, {pair: np.array(values) for pair, values in mutual.items()}, provenance)
    partial.discard()
    return StageResult.of(out, provenance)


def must_start(recipe: Recipe, data: Dataset, warmup: Path | None) -> dict[str, str]:
    """Refuse what :func:`run` would refuse, before anything is read; the hash of the checkpoint, if there is one."""
    data.must_fit(list(recipe.modalities), recipe.task.kind)
    return must_be_of(data, {fmt.WARMUP: warmup})


def needs_encodings(recipe: Recipe, kinds: Sequence[str]) -> bool:
    """Whether any modality, of these kinds, is represented by its encodings."""
    return any(wants_encodings(kind, recipe.information.input) for kind in kinds)


def _read_inputs(recipe: Recipe, data: Dataset, warmup: Path | None, job: Job) -> dict[str, Input]:
    """What stands for each modality: the training rows used, standardised."""
    options = recipe.information
    encoded = {name for name, modality in data.modalities.items() if wants_encodings(modality.kind, options.input)}
    if encoded and (warmup is None or not recipe.fusion.has_warmup):
        give = "give a warm-up checkpoint: omib warmup, then --warmup FILE"
        give = give if recipe.fusion.has_warmup else f"--set fusion.method=omib ({recipe.fusion.method} has no warm-up)"
        raise UsageError(
            f"information.input {options.input} takes the encodings of {', '.join(sorted(encoded))} after warm-up",
            where=data.path,
            do=f"{give}; vectors can do with information.input=raw",
        )
    inputs = read_vectors(data, [name for name in data.modalities if name not in encoded], options, recipe.seed)
    if encoded and warmup is not None:
        from omib_cli.training.inference import encode_all

        codes = encode_all(warmup, recipe, data, "train", job)
        inputs |= {name: standardised(*codes[name], "encodings", options, recipe.seed) for name in encoded}
    return {name: inputs[name] for name in data.modalities}


def _say_what_was_reduced(inputs: dict[str, Input], mode: str, job: Job) -> None:
    for name, each in inputs.items():
        if each.components is not None:
            facts = each.components.facts()
            how = "" if mode == "pca" else " (information.raw_columns)"
            job.progress.note(
                f"{name}: {facts['components']} principal components of its {facts['columns']:,} columns, "
                f"{facts['variance']:.0%} of their variance, fitted to {facts['fitted']:,} training samples{how}"
            )


def _estimate_all(
    recipe: Recipe, inputs: dict[str, Input], partial: Partial, job: Job, device: torch.device
) -> dict[str, list[MutualInformation]]:
    """Every entropy and every pair, each as often as the recipe says; by name (``rna``, ``rna|dna``)."""
    state = partial.load() or {"finished": {}, "current": None}
    finished: dict[str, list[dict[str, Any]]] = state["finished"]
    pending = state["current"]
    pairs = [*((name, name) for name in inputs), *combinations(inputs, 2)]  # Equations 100 and 99
    if processes.world_size() > 1:
        _estimate_in_rounds(recipe, inputs, pairs, finished, partial, job, device)
        return _as_estimates(finished)

    def checkpoint(current: Callable[[], dict[str, Any]]) -> None:
        if partial.due:
            partial.checkpoint({"finished": finished, "current": current()})

    for left, right in pairs:
        name = left if left == right else fmt.PAIR.format(left, right)
        done = finished.setdefault(name, [])
        if len(done) == recipe.information.seeds:
            continue
        x, z = pair_rows(inputs[left], inputs[right])
        for repetition in range(len(done), recipe.information.seeds):
            result = estimate(
                x,
                z,
                recipe.information,
                seed=recipe.seed,
                repetition=repetition,
                name=name,
                job=job,
                state=pending,
                checkpoint=checkpoint,
                device=device,
            )
            pending = None
            done.append(asdict(result))
    return _as_estimates(finished)


def _estimate_in_rounds(
    recipe: Recipe,
    inputs: dict[str, Input],
    pairs: list[tuple[str, str]],
    finished: dict[str, list[dict[str, Any]]],
    partial: Partial,
    job: Job,
    device: torch.device,
) -> None:
    """An estimate for each process at a time; what a round has found is saved at its end, not within."""
    names = {pair: pair[0] if pair[0] == pair[1] else fmt.PAIR.format(*pair) for pair in pairs}
    missing = [
        (pair, repetition)
        for pair in pairs
        for repetition in range(len(finished.setdefault(names[pair], [])), recipe.information.seeds)
    ]

    def leave(_: Callable[[], dict[str, Any]]) -> None:
        if job.stop.reason is not None:
            raise job.stop.interruption(partial.folder)

    for start in range(0, len(missing), processes.world_size()):
        turn = missing[start : start + processes.world_size()]
        own = None
        if processes.rank() < len(turn):
            pair, repetition = turn[processes.rank()]
            x, z = pair_rows(inputs[pair[0]], inputs[pair[1]])
            facts = {"seed": recipe.seed, "repetition": repetition, "name": names[pair]}
            own = asdict(estimate(x, z, recipe.information, job=job, checkpoint=leave, device=device, **facts))  # type: ignore[arg-type]
        for (pair, _), result in zip(turn, processes.all_gather(own), strict=False):
            finished[names[pair]].append(result)
        partial.save({"finished": finished, "current": None})


def _as_estimates(finished: dict[str, list[dict[str, Any]]]) -> dict[str, list[MutualInformation]]:
    return {name: [MutualInformation(**each) for each in several] for name, several in finished.items()}


def _by_kind(
    found: dict[str, list[MutualInformation]], names: list[str]
) -> tuple[dict[str, list[float]], dict[tuple[str, str], list[float]]]:
    entropy = {name: [each.value for each in found[name]] for name in names}
    mutual = {pair: [each.value for each in found[fmt.PAIR.format(*pair)]] for pair in combinations(names, 2)}
    return entropy, mutual


def _summary(found: dict[str, list[MutualInformation]], estimator: str) -> dict[str, Any]:
    """Means, standard deviations, N_eval by name; the largest limit of any critic's estimate, None without critics."""
    limit = max(several[0].limit for several in found.values())
    return {
        "mean": {name: fmean(each.value for each in several) for name, several in found.items()},
        "sd": {name: spread([each.value for each in several]) for name, several in found.items()},
        "evaluation_samples": {name: several[0].samples for name, several in found.items()},
        "limit": None if estimator in CLOSED_FORMS else limit,
        "unit": "nats",
    }


def _limit_warnings(recipe: Recipe, found: dict[str, list[MutualInformation]]) -> list[str]:
    """What is infinite, and what is as large as its number of samples allows; one sentence for each kind."""
    if recipe.information.estimator == "saturation":
        return []
    if recipe.information.estimator == "gaussian":
        infinite = [label_of(name) for name, several in found.items() if any(each.raw is None for each in several)]
        copies = "infinite, as one side holds a copy of the other"
        return [f"{copies}: {', '.join(infinite)}; ln N stands in for it"] if infinite else []
    near: dict[float, list[str]] = {}
    for name, several in found.items():
        value = fmean(each.value for each in several)
        if value >= NEAR_LIMIT * several[0].limit:
            near.setdefault(several[0].limit, []).append(f"{label_of(name)} = {value:.2f}")
    return [
        f"{', '.join(labels)} nats: about as much as {math.exp(limit):.0f} held-out samples can show (ln "
        f"{math.exp(limit):.0f} = {limit:.2f}); it says so many samples, not so much information"
        for limit, labels in near.items()
    ]


def _below_zero(found: dict[str, list[MutualInformation]]) -> list[str]:
    """Shared information whose estimate was below zero by more than chance: what stands there is 0."""
    below = {name: [each.raw for each in several if is_below_zero(each)] for name, several in found.items()}
    return [
        f"{label_of(name)}: the held-out value was {min(raw for raw in values if raw is not None):.2f} nats in "
        f"{len(values)} of {len(found[name])} repetitions, which counts as 0: that critic learnt its samples by heart"
        for name, values in below.items()
        if values
    ]


def _noted(each: MutualInformation) -> dict[str, Any]:
    """An estimate as values that strict JSON admits: minus infinity in a curve becomes None."""
    curve = [[value if math.isfinite(value) else None for value in halves] for halves in each.curve]
    return {**asdict(each), "curve": curve}


def _figures(
    entropy: dict[str, list[float]], mutual: dict[tuple[str, str], list[float]], bounds: dict[str, Any]
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, values in entropy.items():
        figures |= {f"H({name})": fmean(values), f"H({name}) sd": spread(values)}
    for (left, right), values in mutual.items():
        figures |= {f"I({left}; {right})": fmean(values), f"I({left}; {right}) sd": spread(values)}
    return {
        **figures,
        "M_l": bounds["lower"],
        "M_u": bounds["upper"]["star"],
        "M_u tree": bounds["upper"]["tree"],
        "1/(1 + sum r) at least": bounds["objective"],
    }
