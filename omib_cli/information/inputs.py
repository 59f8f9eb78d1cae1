"""What stands for a modality when its information is estimated: rows of the training split as standardised vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import Dataset
from omib_cli.data.checks import Variation, must_vary
from omib_cli.errors import UsageError
from omib_cli.information.components import MOST_FITTED, Components, fit_components
from omib_cli.information.estimation import standardise
from omib_cli.recipe.information import InformationOptions
from omib_cli.runtime.seeds import derive_seed


@dataclass(frozen=True)
class Input:
    """One modality.

    Attributes
    ----------
    values
        (N, D) float32, each column of zero mean and unit variance over the rows that are present.
    present
        (N,) bool.
    what
        ``raw``, ``pca`` or ``encodings``.
    components
        Of a wide vector, which became its principal components.
    """

    values: Tensor
    present: Tensor
    what: str
    components: Components | None = None


VECTORS = (fmt.VECTOR, fmt.GRAPH)
"""Kinds of which a sample is a vector."""


def wants_encodings(kind: str, mode: str) -> bool:
    """Whether a modality of this kind is represented by its encodings."""
    return mode == "encodings" or (mode == "auto" and kind not in VECTORS)


def read_vectors(data: Dataset, names: Sequence[str], options: InformationOptions, seed: int) -> dict[str, Input]:
    """Raw vectors, or their principal components, of the training split; a block of rows at a time.

    Raises
    ------
    UsageError
        A modality is no vector.
    DataError
        A modality that no sample has, or that is the same in all.
    """
    rows = data.rows("train")
    chosen = chosen_rows(len(rows), options.samples, seed)
    for name in names:
        if data.modalities[name].kind not in VECTORS:
            raise UsageError(
                f"information.input {options.input} needs vectors, and modality {name} is none",
                where=data.path,
                got=data.modalities[name].kind,
                do="set information.input=encodings and give --warmup FILE",
            )
    present = torch.from_numpy(data.present(rows))[chosen]
    order, found = list(data.modalities), {}
    for name in names:
        here, width = present[:, order.index(name)], data.modalities[name].shape[0]
        if width > options.raw_columns and options.input != "raw":
            found[name] = _by_components(data, name, chosen, here, options, seed)
            continue
        values = _read(data, name, chosen)
        must_vary(Variation().see(values[here]), name, data)
        found[name] = _standardised(values, here, "pca" if options.input == "pca" else "raw", options)
    return found


def _by_components(
    data: Dataset, name: str, chosen: Tensor, present: Tensor, options: InformationOptions, seed: int
) -> Input:
    """A wide vector by its components: they are fitted to some rows, then all rows are projected as they are read."""
    own = chosen[present]
    fitted = _read(data, name, own[chosen_rows(len(own), MOST_FITTED, seed)])
    must_vary(Variation().see(fitted), name, data)
    components = fit_components(fitted, options.components, derive_seed(seed, "components", name))
    scores = _standardised(_read(data, name, chosen, components.scores), present, "pca", options, reduced=True)
    return replace(scores, components=components)


def standardised(values: Tensor, present: Tensor, what: str, options: InformationOptions, seed: int) -> Input:
    """An input from the values (N, D) of all training rows, of which `information.samples` are kept."""
    chosen = chosen_rows(len(values), options.samples, seed)
    return _standardised(values[chosen], present[chosen], what, options)


def chosen_rows(rows: int, most: int, seed: int) -> Tensor:
    """Which rows are used: all, or ``most`` of them drawn from the seed, in ascending order."""
    if rows <= most:
        return torch.arange(rows)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(derive_seed(seed, "information", "rows")))
    return order[:most].sort().values


def pair_rows(left: Input, right: Input) -> tuple[Tensor, Tensor]:
    """Values of the rows that have both modalities."""
    both = left.present & right.present
    if bool(both.all()):
        return left.values, right.values
    return left.values[both], right.values[both]


def principal_components(values: Tensor, count: int) -> Tensor:
    """Scores (N, min(count, D)) on the directions of largest variance, signs fixed."""
    centred = values.double() - values.double().mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    leading = directions.flip(1)[:, :count]
    largest = leading.gather(0, leading.abs().argmax(0, keepdim=True))
    scores: Tensor = (centred @ (leading * largest.sign())).float()
    return scores


def _standardised(
    values: Tensor, present: Tensor, what: str, options: InformationOptions, *, reduced: bool = False
) -> Input:
    everywhere = bool(present.all())
    here = values if everywhere else values[present]
    if len(here):
        here = standardise(here)
        if what == "pca" and not reduced:
            here = standardise(principal_components(here, options.components))
    if everywhere:
        return Input(here, present, what)
    result = torch.zeros(len(values), here.shape[1])
    result[present] = here
    return Input(result, present, what)


def _read(
    data: Dataset, name: str, chosen: Tensor, reduce: Callable[[Tensor], Tensor] = lambda values: values
) -> Tensor:
    """Chosen rows of the training split (N, D), each block of them reduced as soon as it is read."""
    rows = data.rows("train")
    pieces = []
    for start in range(0, len(rows), fmt.BLOCK_ROWS):
        stop = min(start + fmt.BLOCK_ROWS, len(rows))
        own = chosen[(chosen >= start) & (chosen < stop)] - start
        if not len(own):
            continue
        block = torch.from_numpy(data.values(name, range(rows.start + start, rows.start + stop)))
        pieces.append(reduce(block[own]))
    return torch.cat(pieces) if pieces else torch.empty(0, *data.modalities[name].shape)
