"""``omib embed``: the embedding of every sample, with predictions and spread. dataset.h5 + model -> embedding.h5ad."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omib_cli.artifacts import embedding as layout
from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import already_done
from omib_cli.artifacts.checkpoint import read_carried, read_header
from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.artifacts.files import explained, reserve
from omib_cli.artifacts.partial import Partial
from omib_cli.artifacts.provenance import Provenance
from omib_cli.artifacts.stored_recipe import recipe_of
from omib_cli.data.samples import Samples, read_samples
from omib_cli.distributed import processes
from omib_cli.errors import DataError, NumericError, UsageError
from omib_cli.fusion.posterior import kl_to_prior
from omib_cli.runtime.job import Job
from omib_cli.runtime.seeds import derive_seed
from omib_cli.runtime.start import prepare_torch
from omib_cli.stages.fitting import make_provenance, state_key
from omib_cli.stages.result import StageResult
from omib_cli.tasks.base import Task
from omib_cli.tasks.hazard import Baseline
from omib_cli.training.baseline import baseline_of
from omib_cli.training.calibration import FUSED, Calibration, calibration_of, draw_variance
from omib_cli.training.inference import load_model
from omib_cli.training.model import MultimodalModel
from omib_cli.training.novelty import novelty_of
from omib_cli.training.shift import shift_of, verdicts

if TYPE_CHECKING:
    from numpy.typing import NDArray


def run(
    dataset: Path,
    model: Path,
    out: Path,
    job: Job,
    times: Sequence[float] = (),
    *,
    raw: bool = False,
    level: float | None = None,
) -> StageResult:
    """Embed all samples of a dataset, those of the test split included, with zeta = mu.

    The dataset may be another one than the model was trained on, as long as its modalities, shapes and classes fit.

    Parameters
    ----------
    times
        At which to say the probability of survival, in the unit of the training labels.
    raw
        Whether to leave out the temperatures that the model carries.
    level
        Coverage of sets of classes or intervals of values; None: 0.9, where the model can tell.

    Raises
    ------
    UsageError
        The model does not predict survival, or knows nothing of so late a time.
        The model's validation samples are too few for the level.
    MismatchError
        They do not, or ``out`` was made otherwise.
    NumericError
        The embedding is not finite.
    Interrupted
        Stopped, state saved.
    """
    header = read_header(model)
    recipe = recipe_of(header, model)
    carried = read_carried(model)[0]
    baseline = baseline_of(carried)
    must_be_known(times, baseline, model)
    with Dataset(dataset, EVERYTHING) as data:
        parents = {fmt.DATASET: data.provenance.hash, fmt.MODEL: header.hash}
        calibration = calibration_of(carried)
        said = calibration.chosen_level(level)
        options = {"raw": raw, "level": said} | ({} if baseline is None else {layout.TIMES: [*times]})
        if (found := already_done(out, fmt.EMBEDDING, recipe, parents, job, options)) is not None:
            return StageResult.of(out, found, already_there=True)
        device = prepare_torch(job)
        network, trained = load_model(model, recipe, data, job)
        if data.provenance.hash != trained.parents.get(fmt.DATASET) and data.provenance.parents != {
            fmt.MODEL: header.hash
        }:
            job.progress.note(
                "this is not the dataset that the model was trained on: its splits, and what was fitted to prepare it "
                "(scaling), are its own"
            )
        partial = Partial(out, state_key(fmt.EMBEDDING, recipe, {**parents, "raw": str(raw)}), job)
        if raw:
            calibration = replace(calibration, temperatures={})
        arrays = _Arrays(partial, len(data.readable), network, carried, calibration, recipe.seed, job)
        arrays.fill(data)
        facts = {
            "task": recipe.task.kind,
            "classes": trained.facts["classes"],
            "modalities": network.names,
            "data": origin_of(data.provenance),
            **options,
            "temperature": calibration.temperatures.get(FUSED),
            "held_out": len(calibration.held),
        }
        provenance = make_provenance(fmt.EMBEDDING, recipe, parents, facts, device, job)
        provenance.notes = {
            "history": trained.notes.get("history", []),
            "information": trained.notes.get("information"),
            "beta": trained.facts.get("beta"),
            "figures": {"samples": arrays.count, "width": arrays.read(range(1))[layout.X].shape[1]},
            "prepared": data.provenance.notes.get("warnings", []),
        }
        if baseline is not None:
            provenance.notes[layout.BASELINE] = {name: each.tolist() for name, each in baseline.arrays().items()}
        if len(data.rows(fmt.NEW)):
            provenance.notes |= _likeness(data, carried, arrays.novelty(), job)

        def read(rows: range) -> dict[str, NDArray[Any]]:
            found = arrays.read(rows)
            about = _about(data, rows, network, found, calibration, said)
            if baseline is not None:
                about |= _survival(about, baseline, times)
            return {**about, **found}

        provenance = layout.write_embedding(out, arrays.count, read, provenance)
    partial.discard()
    return StageResult.of(out, provenance)


class _Arrays:
    """What the network computes, in files of the partial folder, by its place in the embedding.

    A block of rows at a time is in memory. Of several processes each fills a block in a round; the first one makes the
    files and saves the state.
    """

    def __init__(
        self,
        partial: Partial,
        count: int,
        network: MultimodalModel,
        carried: Mapping[str, NDArray[Any]],
        calibration: Calibration,
        seed: int,
        job: Job,
    ) -> None:
        self.count = count
        self._calibration = calibration
        self._novelty = {name: novelty_of(carried, name)[0] for name in network.names}
        self._partial, self._network, self._seed, self._job = partial, network, seed, job
        self._device = next(network.parameters()).device
        self._places: list[str] = []

    def fill(self, data: Dataset) -> None:
        """Compute all rows that are not there yet."""
        state = self._partial.load()
        done = 0 if state is None else int(state["rows"])
        self._places = [] if state is None else list(state["places"])
        progress = self._job.progress
        progress.begin("embed", self.count, "samples", done)
        for turn in _rounds(list(data.blocks(range(done, self.count)))):
            own = turn[processes.rank()] if processes.rank() < len(turn) else range(0)
            found = self._compute(data, own) if own else {}
            if not self._places:
                self._make(found)
            for place, values in found.items():
                self._open(place)[own.start : own.stop] = values
            progress.advance(sum(map(len, turn)))
            if processes.any_process(self._partial.due):
                for place in self._places:
                    self._open(place).flush()
                processes.barrier()
                self._partial.checkpoint({"rows": turn[-1].stop, "places": self._places})
        processes.barrier()
        progress.end()

    def read(self, rows: range) -> dict[str, NDArray[Any]]:
        """Rows of all arrays."""
        return {place: np.array(self._open(place)[rows.start : rows.stop]) for place in self._places}

    def novelty(self) -> dict[str, NDArray[np.float64]]:
        """By modality (N,), where the model can tell."""
        places = {name: f"obs/{layout.NOVELTY}_{name}" for name in self._network.names}
        return {name: np.array(self._open(place)) for name, place in places.items() if place in self._places}

    @torch.no_grad()
    def _compute(self, data: Dataset, rows: range) -> dict[str, NDArray[Any]]:
        samples = read_samples(data, rows, self._device)
        torch.manual_seed(derive_seed(self._seed, "embed", rows.start))  # for methods that draw at inference
        pieces = [self._infer(batch) for batch in samples.batches(samples.inference_batch)]
        found = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        if not np.isfinite(found["X"]).all():
            raise NumericError("the embedding is not finite", where=f"rows {rows.start} to {rows.stop} of {data.path}")
        return found

    def _infer(self, samples: Samples) -> dict[str, NDArray[Any]]:
        batch = samples.batch
        encodings = self._network.encode(samples.values, batch)
        fused = self._network.fusion.fuse(encodings, batch)
        found = {layout.X: fused.embedding.cpu().numpy(), **self._outputs(fused.output)}
        if (noise := self._calibration.noise) is not None:
            variance = draw_variance(self._network, encodings, batch)
            found[f"obs/{layout.SPREAD}"] = np.sqrt(noise**2 + variance)
        for i, name in enumerate(self._network.names):
            if (known := self._novelty[name]) is not None:
                novelty = known.novelty(encodings[i].float().cpu().numpy())
                novelty[~samples.present[:, i].cpu().numpy()] = np.nan
                found[f"obs/{layout.NOVELTY}_{name}"] = novelty
            if name in fused.branch_outputs:
                seen = samples.present[:, i, None]  # a branch says nothing about a sample it has not seen
                output = fused.branch_outputs[name].masked_fill(~seen, torch.nan)
                found |= self._outputs(output, name)
            if name in fused.posteriors:
                found[f"obsm/{layout.POSTERIOR_SD}_{name}"] = fused.posteriors[name].sd.cpu().numpy()
                found[f"obs/{layout.COMPRESSION}_{name}"] = kl_to_prior(fused.posteriors[name], "sum").cpu().numpy()
        return found

    def _outputs(self, output: torch.Tensor, head: str = FUSED) -> dict[str, NDArray[Any]]:
        """A head's output (B, C) as the embedding holds it: logits by their temperature, in float64 where there is one.

        There, logits that differ in float32 differ after the division too: no prediction changes.
        """
        task, values = self._network.task, output.float().cpu().numpy()
        if head in self._calibration.temperatures:
            values = values / np.float64(self._calibration.temperature(head))
        suffix = f"_{head}" if head else ""
        found: dict[str, NDArray[Any]] = {f"obsm/{layout.OUTPUT}{suffix}": task.readable(task.scores(values))}
        return found | ({f"obsm/{layout.LOGITS}{suffix}": values} if task.has_logits else {})

    def _make(self, blocks: dict[str, NDArray[Any]]) -> None:
        """Files with room for every sample, by the first process, whose block is the first of all."""
        if processes.is_rank_zero():
            try:
                with explained(self._partial.folder):
                    self._partial.folder.mkdir(parents=True, exist_ok=True)
                    for place, block in blocks.items():
                        shape = (self.count, *block.shape[1:])
                        np.lib.format.open_memmap(self._path(place), mode="w+", dtype=block.dtype, shape=shape)
                        reserve(self._path(place))
            except DataError:
                self._partial.discard()
                raise
        self._places = processes.all_gather(list(blocks))[0]

    def _path(self, place: str) -> Path:
        return self._partial.folder / f"{place.replace('/', '.')}.npy"

    def _open(self, place: str) -> np.memmap[Any, Any]:
        """A file's array; opened for each use, since pages once touched count as this process's memory until closed."""
        return np.lib.format.open_memmap(self._path(place), mode="r+")


def _likeness(
    data: Dataset, carried: Mapping[str, NDArray[Any]], novelty: Mapping[str, NDArray[np.float64]], job: Job
) -> dict[str, Any]:
    """How new samples differ from the training samples; says so where that makes predictions doubtful."""
    shift = shift_of(data, carried)
    doubts = verdicts(shift, novelty)
    for doubt in doubts:
        job.progress.warn(doubt)
    return {"shift": shift, "doubts": doubts}


def origin_of(made: Provenance) -> str:
    """What a dataset's samples come from, whatever the seed that drew or divided them: digest of options and files."""
    options = [made.recipe["data"], made.recipe["task"]["kind"], list(made.recipe["modalities"])]
    text = json.dumps([options, made.facts.get("files", {})], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _rounds(blocks: list[range]) -> list[list[range]]:
    """Consecutive blocks, one for each process at a time."""
    count = processes.world_size()
    return [blocks[start : start + count] for start in range(0, len(blocks), count)]


def _about(
    data: Dataset,
    rows: range,
    network: MultimodalModel,
    computed: dict[str, NDArray[Any]],
    calibration: Calibration,
    level: float | None,
) -> dict[str, NDArray[Any]]:
    """What is known of the samples: ids, split, label, group, which modalities they have, predictions, positions."""
    task = network.task
    obs: dict[str, Any] = {"id": data.ids(rows), "split": data.split_names(rows)}
    obs["label"] = _readable(data.classes, data.labels(rows))
    if (groups := data.groups(rows)) is not None:
        obs["group"] = groups
    scores = _scores(task, computed, "")
    names = task.classes if task.has_logits else []
    obs["prediction"] = _readable(names, task.prediction(scores))
    if task.has_logits:
        columns = layout.probability_columns(task.classes)
        obs |= dict(zip(columns, task.readable(scores).T, strict=True))
        obs[layout.ENTROPY] = -np.sum(np.exp(scores) * scores, axis=1)
    if level is not None:
        obs |= _within(task, computed, calibration, level)
    present = data.present(rows)
    for i, name in enumerate(network.names):
        obs[f"has_{name}"] = present[:, i]
        if f"obsm/{layout.OUTPUT}_{name}" in computed:
            own = task.prediction(_scores(task, computed, f"_{name}"))
            obs[f"prediction_{name}"] = _readable(names, np.where(present[:, i], own, np.nan))
    coordinates = data.coordinates(rows)
    placed = {} if coordinates is None else {f"obsm/{layout.SPATIAL}": coordinates}
    texts = {f"obs/{name}": np.array(v, dtype=object) if isinstance(v, list) else v for name, v in obs.items()}
    return {**texts, **placed}


def _survival(about: Mapping[str, Any], baseline: Baseline, times: Sequence[float]) -> dict[str, NDArray[Any]]:
    """Time and event in place of the sign, and the probability of no event up to some times."""
    label, at = about["obs/label"], np.array(times, dtype=np.float64)
    event = np.where(np.isnan(label), np.nan, label > 0)
    curves = baseline.survival(about["obs/prediction"], at)
    columns = dict(zip(layout.survival_columns(times), curves.T, strict=True))
    return {f"obs/{name}": values for name, values in {"time": np.abs(label), "event": event, **columns}.items()}


def must_be_known(times: Sequence[float], baseline: Baseline | None, model: Path) -> None:
    """Refuse times that a model can say nothing of.

    Raises
    ------
    UsageError
        It does not predict survival; a time is after the last of the training samples was followed.
    """
    if times and baseline is None:
        raise UsageError("--times asks for survival, which this model does not predict", where=model)
    if times and baseline is not None and max(times) > baseline.times[-1]:
        raise UsageError(
            "nothing is known of so late a time",
            where=f"--times, for {model.name}",
            got=f"{max(times):g}",
            expected=f"at most {baseline.times[-1]:g}: for so long the training samples were followed",
        )


def _within(
    task: Task, computed: dict[str, NDArray[Any]], calibration: Calibration, level: float
) -> dict[str, list[str] | NDArray[np.float64]]:
    """What holds the truth with probability ``level``: a set of classes, or the bounds of an interval."""
    reach = calibration.reach(level)
    if not task.has_logits:
        middle = task.prediction(_scores(task, computed, ""))
        return {layout.LOW: middle - reach, layout.HIGH: middle + reach}
    # Of the network's own probabilities: the temperature was fitted to the samples that the reach is taken from.
    scores = task.scores(computed[f"obsm/{layout.LOGITS}"] * calibration.temperature(FUSED))
    within = -scores <= reach
    within[np.arange(len(scores)), scores.argmax(axis=1)] = True  # a set without the prediction would be odd
    return {layout.SET: layout.joined_sets(within, task.classes)}


def _readable(classes: list[str], values: NDArray[np.float64]) -> list[str] | NDArray[np.float64]:
    """Classes by their names, none where nothing is known; values as they are."""
    return [classes[int(code)] if code == code else "" for code in values] if classes else values


def _scores(task: Task, computed: dict[str, NDArray[Any]], suffix: str) -> NDArray[np.float64]:
    """What a head's predictions are made of (N, C), from what is kept of its output."""
    if task.has_logits:
        return task.scores(computed[f"obsm/{layout.LOGITS}{suffix}"])
    return task.from_readable(computed[f"obsm/{layout.OUTPUT}{suffix}"])
