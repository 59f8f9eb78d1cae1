"""How much each column of the training rows says: variance, median deviation, dispersion, differences among classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from omib_cli.sources.block_values import column_spans, moments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS = 20
"""Of genes by their mean, within which dispersions are compared (scanpy's flavour ``seurat``)."""

Training = Callable[[], Iterable[tuple[Any, "NDArray[np.float64]"]]]
"""Blocks of training rows, as the steps before leave them, with their labels; may be asked for again."""


class KnownLabels(NamedTuple):
    """What a step may know of the labels: (N,) by row of the table, NaN where unknown; whether they are classes."""

    values: NDArray[np.float64]
    classes: bool


def mean_and_variance(training: Training, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each column, over N - 1."""
    import numpy as np

    count, total, squares = (np.zeros(width) for _ in range(3))
    for block, _ in training():
        more = moments(block)
        count, total, squares = count + more[0], total + more[1], squares + more[2]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        return mean, np.maximum(squares - count * mean**2, 0.0) / (count - 1)


def variance(training: Training, labels: KnownLabels, width: int) -> NDArray[np.float64]:
    """Of each column."""
    return mean_and_variance(training, width)[1]


def mad(training: Training, labels: KnownLabels, width: int) -> NDArray[np.float64]:
    """Median absolute deviation of each column."""
    import numpy as np

    found = []
    for columns in columns_of(training):
        middle = np.nanmedian(columns, axis=0)
        found.append(np.nanmedian(np.abs(columns - middle), axis=0))
    return np.concatenate(found)


def anova(training: Training, labels: KnownLabels, width: int) -> NDArray[np.float64]:
    """F of each column among the classes, or, of a regression, of the column as its only predictor."""
    import numpy as np

    if not labels.classes:
        return _correlation(training, width)
    sums: dict[float, list[NDArray[np.float64]]] = {}
    for block, own in training():
        for kind in np.unique(own):
            more = moments(block[own == kind])
            before = sums.get(kind, [np.zeros(width)] * 3)
            sums[kind] = [one + other for one, other in zip(before, more, strict=True)]
    count, total, squares = (np.sum([each[place] for each in sums.values()], axis=0) for place in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.sum([np.nan_to_num(s**2 / n) for n, s, _ in sums.values()], axis=0) - total**2 / count
        within = squares - total**2 / count - between
        return np.asarray((between / (len(sums) - 1)) / (np.maximum(within, 0.0) / (count - len(sums))))


def _correlation(training: Training, width: int) -> NDArray[np.float64]:
    """Squared correlation of each column with the label."""
    import numpy as np

    count, total, squares, both, own, other = (np.zeros(width) for _ in range(6))
    for block, label in training():
        more = moments(block)
        count, total, squares = count + more[0], total + more[1], squares + more[2]
        dense = isinstance(block, np.ndarray)
        there = ~np.isnan(block) if dense else None
        both = both + (np.nansum(block * label[:, np.newaxis], axis=0) if dense else block.T @ label)
        own = own + (label @ there if there is not None else label.sum())
        other = other + (label**2 @ there if there is not None else (label**2).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = both - total * own / count
        return np.asarray(covariance**2 / ((squares - total**2 / count) * (other - own**2 / count)))


def dispersions(mean: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalised dispersions of genes, by their mean and variance in counts (scanpy's flavour ``seurat``)."""
    import numpy as np
    import pandas as pd

    mean = np.where(mean == 0, 1e-12, mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersion = np.where(variance > 0, np.log(variance / mean), np.nan)
    bins = pd.cut(pd.Series(np.log1p(mean)), bins=BINS)
    grouped = pd.Series(dispersion).groupby(bins, observed=True)
    centre, spread = grouped.transform("mean"), grouped.transform("std", ddof=1)
    alone = spread.isna()  # a bin of one gene: it is as variable as one can be there
    spread, centre = spread.where(~alone, centre), centre.where(~alone, 0.0)
    return np.asarray((dispersion - centre) / spread)


def stacked(training: Training) -> Any:
    """All training rows, dense or CSR."""
    import numpy as np
    from scipy.sparse import vstack

    blocks = [block for block, _ in training()]
    return np.concatenate(blocks) if isinstance(blocks[0], np.ndarray) else vstack(blocks, format="csr")


def columns_of(training: Training) -> Iterator[NDArray[np.float64]]:
    """All training rows of some columns after the other, dense."""
    import numpy as np

    values = stacked(training)
    if isinstance(values, np.ndarray):
        for span in column_spans(*values.shape):
            yield values[:, span]
        return
    by_column = values.tocsc()
    for start in range(0, values.shape[1], 256):
        yield by_column[:, start : start + 256].toarray()
