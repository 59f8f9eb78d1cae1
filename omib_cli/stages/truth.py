"""The truth of simulated data, drawn again from the recipe, for an embedding of its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation.runs import Run
from omib_cli.recipe.sources import SimulationOptions
from omib_cli.sources.simulation import SimulationSource


def truth_of(run: Run) -> dict[str, NDArray[np.float64]]:
    """Targets (N, q) of the headline split by name: a parts along delta, b parts whole; none of real data.

    Empty as well if the labels drawn again are not those of the embedding, which is then of other data.
    """
    if not isinstance(run.recipe.data, SimulationOptions):
        return {}
    rows = np.flatnonzero(run.split == run.headline)
    source = SimulationSource(run.recipe)
    if not len(rows) or rows[-1] >= source.options.samples or len(rows) != rows[-1] - rows[0] + 1:
        return {}
    block = source.block(int(rows[0]), int(rows[-1]) + 1)
    if not np.array_equal(block.labels, run.labels[rows]):
        return {}
    truth = source.truth()
    along: dict[str, list[int]] = truth["delta_columns"]  # type: ignore[assignment]
    columns: dict[str, dict[str, list[int]]] = truth["columns"]  # type: ignore[assignment]
    delta, found = source.delta(), {}
    for modality, parts in columns.items():
        for part, (start, stop) in parts.items():
            if part in found or start == stop:
                continue
            values = block.values[modality][:, start:stop].astype(np.float64)
            found[part] = values @ delta[slice(*along[part])][:, np.newaxis] if part in along else values
    relevant = [found[part] for part in source.relevant if part in found]
    return {"score": np.sum(relevant, axis=0), **dict(sorted(found.items()))}
