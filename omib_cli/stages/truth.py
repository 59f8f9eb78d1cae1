"""The truth of simulated data, drawn again from the recipe, for an embedding of its samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omib_cli.evaluation import probes
from omib_cli.evaluation.runs import Run
from omib_cli.evaluation.subvectors import MOST_SAMPLES, Sample, Subvector, measure
from omib_cli.recipe.sources.simulation import SimulationOptions
from omib_cli.sources.simulation import SimulationSource


@dataclass(frozen=True)
class Truth:
    """What simulated data is known to hold; nothing of real data.

    Attributes
    ----------
    targets
        (N, q) by name: a parts along delta, b parts whole, and the score behind the label; of the headline split the
        samples that are probed, its first.
    subvectors
        What sets of parts predict, by name; nothing where the embedding has no training split, or no other.
    """

    targets: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    subvectors: dict[str, Subvector] = field(default_factory=dict)


def truth_of(run: Run, bootstrap: int) -> Truth:
    """Draw a run's data again; nothing if the labels are not those of the embedding, which is then of other data."""
    if not isinstance(run.recipe.data, SimulationOptions):
        return Truth()
    source = SimulationSource(run.recipe)
    held = _drawn_again(source, run, run.headline, MOST_SAMPLES)
    if held is None:
        return Truth()
    along: dict[str, list[int]] = source.truth()["delta_columns"]  # type: ignore[assignment]
    whole = source.delta()
    delta = {part: whole[slice(*along[part])] for part in source.relevant}
    return Truth(_targets(held.first(probes.MOST_SAMPLES), delta), _subvectors(source, run, held, delta, bootstrap))


def _drawn_again(source: SimulationSource, run: Run, split: str, most: int | None = None) -> Sample | None:
    """The rows of a split, at most the first so many; None if it has none or they are of other data."""
    rows = np.flatnonzero(run.split == split)[:most]
    if not len(rows) or rows[-1] >= source.options.samples or len(rows) != rows[-1] - rows[0] + 1:
        return None
    block = source.block(int(rows[0]), int(rows[-1]) + 1)
    if not np.array_equal(block.labels, run.labels[rows]):
        return None
    ranges: dict[str, dict[str, list[int]]] = source.truth()["columns"]  # type: ignore[assignment]
    columns: dict[str, NDArray[np.float32]] = {}
    for modality, parts in ranges.items():
        for part, (start, stop) in parts.items():
            if start < stop:
                columns.setdefault(part, block.values[modality][:, start:stop])
    return Sample(columns, block.labels)


def _targets(held: Sample, delta: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    found = {}
    for part, columns in held.columns.items():
        values = columns.astype(np.float64)
        found[part] = values @ delta[part][:, np.newaxis] if part in delta else values
    relevant = [found[part] for part in delta if part in found]
    return {"score": np.sum(relevant, axis=0), **dict(sorted(found.items()))}


def _subvectors(
    source: SimulationSource, run: Run, held: Sample, delta: dict[str, NDArray[np.float64]], bootstrap: int
) -> dict[str, Subvector]:
    """Fitted to the training split alone: whatever was held out for selection stays out."""
    if run.headline == "train" or (fitted := _drawn_again(source, run, "train", MOST_SAMPLES)) is None:
        return {}
    return measure(source.parts, delta, fitted, held, intervals=bootstrap > 0)
