"""``omib embed``: the embedding of every sample, with predictions and spread. dataset.h5 + model -> embedding.h5ad."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omib_cli.artifacts import embedding as layout
from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import already_done
from omib_cli.artifacts.checkpoint import read_header
from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.artifacts.files import explained, reserve
from omib_cli.artifacts.partial import Partial
from omib_cli.data.samples import Samples, read_samples
from omib_cli.errors import DataError, NumericError
from omib_cli.fusion.posterior import kl_to_prior
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime import processes
from omib_cli.runtime.job import Job
from omib_cli.runtime.machine import prepare_torch
from omib_cli.runtime.seeds import derive_seed
from omib_cli.stages.fitting import make_provenance, state_key
from omib_cli.stages.result import StageResult
from omib_cli.training.inference import load_model
from omib_cli.training.model import MultimodalModel

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def run(dataset: Path, model: Path, out: Path, job: Job) -> StageResult:
    """Embed all samples of a dataset, those of the test split included, with zeta = mu.

    The dataset may be another one than the model was trained on, as long as its modalities, shapes and classes fit.

    Raises
    ------
    MismatchError
        They do not, or ``out`` was made otherwise.
    NumericError
        The embedding is not finite.
    Interrupted
        Stopped, state saved.
    """
    header = read_header(model)
    recipe = recipe_model().model_validate(header.recipe)
    with Dataset(dataset, EVERYTHING) as data:
        parents = {fmt.DATASET: data.provenance.hash, fmt.MODEL: header.hash}
        if (found := already_done(out, fmt.EMBEDDING, recipe, parents, job)) is not None:
            return StageResult.of(out, found, already_there=True)
        device = prepare_torch(job.threads, job.device)
        network, trained = load_model(model, recipe, data, job)
        if trained.parents.get(fmt.DATASET) != data.provenance.hash:
            job.progress.note("this is not the dataset that the model was trained on; its splits are its own")
        partial = Partial(out, state_key(fmt.EMBEDDING, recipe, parents), job)
        arrays = _Arrays(partial, len(data.readable), network, recipe.seed, job).fill(data)
        obs = _observations(data, network, arrays)
        coordinates = data.coordinates(data.readable)
    samplewise = f"{layout.COMPRESSION}_"  # a number a sample: a column of obs
    obsm = {name: array for name, array in arrays.items() if name != "X" and not name.startswith(samplewise)}
    if coordinates is not None:
        obsm[layout.SPATIAL] = coordinates
    facts = {"task": recipe.task.kind, "classes": trained.facts["classes"], "modalities": network.names}
    provenance = make_provenance(fmt.EMBEDDING, recipe, parents, facts, device, job)
    provenance.notes = {
        "history": trained.notes.get("history", []),
        "information": trained.notes.get("information"),
        "beta": trained.facts.get("beta"),
        "figures": {"samples": len(obs), "width": int(arrays["X"].shape[1])},
    }
    layout.write_embedding(out, arrays["X"], obs, obsm, provenance)
    partial.discard()
    return StageResult.of(out, provenance)


class _Arrays:
    """The embedding's arrays, memory-mapped in the partial folder and filled a block of rows at a time.

    Of several processes each fills a block in a round; the first one makes the arrays and saves the state.
    """

    def __init__(self, partial: Partial, count: int, network: MultimodalModel, seed: int, job: Job) -> None:
        self._partial, self._count, self._network, self._seed, self._job = partial, count, network, seed, job
        self._device = next(network.parameters()).device

    def fill(self, data: Dataset) -> dict[str, NDArray[Any]]:
        """All arrays, by their place in the embedding: ``X`` and the keys of ``obsm``."""
        state = self._partial.load()
        done = 0 if state is None else int(state["rows"])
        arrays = self._open(list(state["names"])) if state is not None else {}
        progress = self._job.progress
        progress.begin("embed", self._count, "samples", done)
        for turn in _rounds(list(data.blocks(range(done, self._count)))):
            own = turn[processes.rank()] if processes.rank() < len(turn) else None
            found = {} if own is None else self._compute(data, own)
            if not arrays:
                arrays = self._made(found)
            for name, value in found.items():
                arrays[name][own.start : own.stop] = value  # type: ignore[union-attr]
            progress.advance(sum(map(len, turn)))
            if processes.agree(self._partial.due):
                for array in arrays.values():
                    array.flush()
                processes.wait()
                self._partial.checkpoint({"rows": turn[-1].stop, "names": list(arrays)})
        for array in arrays.values():
            array.flush()
        processes.wait()
        progress.end()
        return dict(arrays)

    def _made(self, found: dict[str, NDArray[np.float32]]) -> dict[str, np.memmap[Any, Any]]:
        """The arrays, made by the first process, whose block is the first of all."""
        arrays = self._create(found) if processes.is_first() else {}
        (names, *_) = processes.gathered(list(arrays))
        return arrays or self._open(names)

    @torch.no_grad()
    def _compute(self, data: Dataset, rows: range) -> dict[str, NDArray[np.float32]]:
        samples = read_samples(data, rows, self._device)
        torch.manual_seed(derive_seed(self._seed, "embed", rows.start))  # for methods that draw at inference
        pieces = [self._infer(batch) for batch in samples.batches(samples.inference_batch)]
        found = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        if not np.isfinite(found["X"]).all():
            raise NumericError("the embedding is not finite", where=f"rows {rows.start} to {rows.stop} of {data.path}")
        return found

    def _infer(self, samples: Samples) -> dict[str, NDArray[np.float32]]:
        fused = self._network.fuse(samples)
        readable = self._network.task.readable
        found = {"X": fused.embedding.cpu().numpy(), layout.OUTPUT: readable(fused.output.cpu().numpy())}
        for i, name in enumerate(self._network.names):
            branch = readable(fused.branch_outputs[name].cpu().numpy()) if name in fused.branch_outputs else None
            if branch is not None:
                if samples.present is not None:  # a branch says nothing about a sample it has not seen
                    branch[~samples.present[:, i].cpu().numpy()] = np.nan
                found[f"{layout.OUTPUT}_{name}"] = branch
            if name in fused.posteriors:
                found[f"{layout.POSTERIOR_SD}_{name}"] = fused.posteriors[name].sd.cpu().numpy()
                found[f"{layout.COMPRESSION}_{name}"] = (
                    kl_to_prior(fused.posteriors[name], "sum")[:, None].cpu().numpy()
                )
        return found

    def _path(self, name: str) -> Path:
        return self._partial.folder / f"{name}.npy"

    def _create(self, blocks: dict[str, NDArray[np.float32]]) -> dict[str, np.memmap[Any, Any]]:
        """Arrays with room for every sample, wide and typed as their first blocks."""
        arrays = {}
        try:
            with explained(self._partial.folder):
                self._partial.folder.mkdir(parents=True, exist_ok=True)
                for name, block in blocks.items():
                    path, shape = self._path(name), (self._count, block.shape[1])
                    arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=block.dtype, shape=shape)
                    reserve(path)
        except DataError:
            self._partial.discard()
            raise
        return arrays

    def _open(self, names: list[str]) -> dict[str, np.memmap[Any, Any]]:
        return {name: np.lib.format.open_memmap(self._path(name), mode="r+") for name in names}


def _rounds(blocks: list[range]) -> list[list[range]]:
    """Consecutive blocks, one for each process at a time."""
    count = processes.count()
    return [blocks[start : start + count] for start in range(0, len(blocks), count)]


def _observations(data: Dataset, network: MultimodalModel, arrays: dict[str, NDArray[Any]]) -> pd.DataFrame:
    """One row per sample: split, label, group, which modalities it has, predictions."""
    import pandas as pd

    rows, task = data.readable, network.task
    columns: dict[str, Any] = {"split": data.split_names(rows), "label": data.labels(rows)}
    if data.classes:
        columns["label_name"] = [data.classes[int(code)] if code == code else "" for code in columns["label"]]
    if (groups := data.groups(rows)) is not None:
        columns["group"] = groups
    columns["prediction"] = task.prediction(arrays[layout.OUTPUT])
    present = data.present(rows)
    for i, name in enumerate(network.names):
        columns[f"has_{name}"] = present[:, i]
        if f"{layout.OUTPUT}_{name}" in arrays:
            own = task.prediction(arrays[f"{layout.OUTPUT}_{name}"])
            columns[f"prediction_{name}"] = np.where(present[:, i], own, np.nan)
        if (key := f"{layout.COMPRESSION}_{name}") in arrays:
            columns[key] = arrays[key][:, 0]
    return pd.DataFrame(columns, index=pd.Index(data.ids(rows), name="id"))
