"""Imputation and scaling of features, fitted on the training split and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from omib_cli.errors import DataError, listed
from omib_cli.sources.block_values import column_spans, gathered, row_spans
from omib_cli.sources.column_scores import mean_and_variance
from omib_cli.sources.matrices import Blocks
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUNDING = 5e-7
"""The part of its largest value by which a column must vary. What varies less differs by rounding (0.1 * 3 is not 0.3;
four last bits of single precision): divided by such a deviation, an honest difference would become 1e14."""
FAR = 1e6
"""So many training deviations away, a value cannot be of what training has seen."""


class Scaling(Protocol):
    """The options that :func:`fit` reads, as the source ``tables`` explains them."""

    @property
    def standardise(self) -> str:
        """``zscore``, ``minmax``, ``block`` or ``none``."""

    @property
    def impute(self) -> str:
        """``refuse``, ``mean``, ``median`` or ``zero``."""

    @property
    def constant(self) -> str:
        """``refuse``, ``drop`` or ``keep``."""


@dataclass
class Fitted:
    """What training taught about the features of one modality.

    A value x of column ``kept[j]`` becomes (x - ``offset[j]``) / ``scale[j]``, with x = ``fill[j]`` where missing.

    Attributes
    ----------
    kept
        (K,) columns of the table that are features.
    offset, scale, fill
        (K,) float64, in the unit of the table.
    width
        Columns of the table.
    """

    kept: NDArray[np.int64]
    offset: NDArray[np.float64]
    scale: NDArray[np.float64]
    fill: NDArray[np.float64]
    width: int

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As they go into the dataset."""
        import numpy as np

        fitted = {name: getattr(self, name) for name in ("kept", "offset", "scale", "fill")}
        return {**fitted, "width": np.array([self.width])}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Fitted:
        """What :meth:`arrays` gave."""
        fitted = {name: arrays[name] for name in ("kept", "offset", "scale", "fill")}
        return cls(**fitted, width=int(arrays["width"][0]))

    def apply(self, values: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Standardised features of rows (N,) of values (T, D): (N, K) float32, zeros where the row is -1."""
        import numpy as np

        scaled = np.empty((len(rows), len(self.kept)), dtype=np.float32)
        for span in row_spans(*scaled.shape):
            chosen = gathered(values, rows[span], self.kept)
            chosen = np.where(np.isnan(chosen), self.fill, chosen)
            with np.errstate(over="ignore"):
                scaled[span] = (chosen - self.offset) / self.scale
        scaled[rows < 0] = 0.0
        return scaled


def fit(
    values: NDArray[np.float64], training: NDArray[np.int64], columns: Sequence[str], options: Scaling, where: str
) -> Fitted:
    """Fit on the training rows that have the modality, some columns at a time.

    Parameters
    ----------
    values
        (N, D), NaN where missing.
    training
        Numbers of the rows to learn from.

    Raises
    ------
    DataError
        Constant columns under ``constant: refuse``, or no column left.
    """
    import numpy as np

    if len(training) < 2:
        raise DataError(
            "too few training samples have this modality", where=where, got=f"{len(training)}", expected="at least 2"
        )
    parts = []
    for span in column_spans(len(training), values.shape[1]):
        rows = np.asfortranarray(values[training, span])  # a column's sum is then the same whatever is beside it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # columns without a single value come out as NaN
            low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
            parts.append((low, high, _fill(rows, options.impute), *_unit(rows, options)))
    low, high, fill, offset, scale = (np.concatenate(part) for part in zip(*parts, strict=True))
    # False for NaN: a column without a value does not vary
    varies = high - low > ROUNDING * np.maximum(np.abs(low), np.abs(high))
    kept = _kept(varies, columns, options.constant, where)
    offset = np.where(np.isnan(low), 0.0, offset)
    scale = _scale(scale, varies, kept, options)
    fill = np.where(np.isnan(fill), 0.0, fill)
    return Fitted(kept, offset[kept], scale[kept], fill[kept], values.shape[1])


def _unit(rows: NDArray[np.float64], options: Scaling) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is subtracted from each column (N, K), and what it is divided by then: (K,) each."""
    import numpy as np

    if options.standardise in ("zscore", "block"):
        return np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    if options.standardise == "minmax":
        low = np.nanmin(rows, axis=0)
        return low, np.nanmax(rows, axis=0) - low
    return np.zeros(rows.shape[1]), np.ones(rows.shape[1])


def _scale(
    own: NDArray[np.float64], varies: NDArray[np.bool_], kept: NDArray[np.int64], options: Scaling
) -> NDArray[np.float64]:
    """What each column (D,) is divided by, from its own unit; of a block all by the root of their mean variance."""
    import numpy as np

    if options.standardise == "block":
        own = np.full(len(own), np.sqrt(np.mean(np.square(own[kept]))))
        return np.where(own > 0, own, 1.0)
    return np.where(varies & (own > 0), own, 1.0)


def fit_blocks(
    rows: Blocks, training: NDArray[np.bool_], columns: Sequence[str], options: Scaling, where: str
) -> Fitted:
    """As :func:`fit`, a block of rows at a time, for a matrix (N, D) without missing values."""
    import numpy as np

    width = rows.shape[1]
    low, high = np.full(width, np.inf), np.full(width, -np.inf)

    def blocks() -> Iterator[tuple[Any, NDArray[np.float64]]]:
        for start, block in rows.blocks():
            own = training[start : start + block.shape[0]]
            yield block[own], np.zeros(int(own.sum()))

    for block, _ in blocks():
        if block.shape[0]:
            ends = block.min(axis=0), block.max(axis=0)
            least, most = (end.toarray().ravel() if hasattr(end, "toarray") else end for end in ends)
            low, high = np.minimum(low, least), np.maximum(high, most)
    mean, variance = mean_and_variance(blocks, width)
    varies = high - low > ROUNDING * np.maximum(np.abs(low), np.abs(high))
    kept = _kept(varies, columns, options.constant, where)
    count = int(training.sum())
    sd = np.sqrt(variance * (count - 1) / count)
    ends_of = {
        "zscore": (mean, sd),
        "block": (mean, sd),
        "minmax": (low, high - low),
        "none": (np.zeros(width), np.ones(width)),
    }
    offset, scale = ends_of[options.standardise]
    scale = _scale(scale, varies, kept, options)
    return Fitted(kept, offset[kept], scale[kept], mean[kept], width)


class ScaledRows:
    """Standardised features of samples, made when they are asked for from rows that are in memory as they were read.

    Parameters
    ----------
    rows
        (N,) of the matrix; -1 where a sample has none.
    """

    def __init__(self, values: Blocks, fitted: Fitted, rows: NDArray[np.int64]) -> None:
        self._values, self._fitted, self._rows = values, fitted, rows

    def __getitem__(self, samples: slice) -> NDArray[np.float32]:
        """(B, K) of consecutive samples."""
        import numpy as np

        rows = self._rows[samples]
        return self._fitted.apply(self._values.take(np.maximum(rows, 0)), np.where(rows < 0, -1, np.arange(len(rows))))


def must_be_finite(
    values: NDArray[np.floating[Any]], name: Callable[[int], str], columns: Sequence[str], where: str
) -> None:
    """Refuse infinities: (N, D) values, the name of each row, D names of columns."""
    import numpy as np

    if not np.isinf(values).any():
        return
    row, column = np.argwhere(np.isinf(values))[0].tolist()
    raise DataError(
        counted(int(np.isinf(values).sum()), "infinite value"),
        where=f"{where}, {name(row)}, column {columns[column]!r}",
        got=values[row, column],
        do="leave the cell empty if the value is missing",
    )


def far_values(scaled: NDArray[np.float32], columns: Sequence[str], options: Scaling, where: str) -> list[str]:
    """A warning for standardised values (N, K) that training cannot have prepared for."""
    import numpy as np

    if options.standardise == "none" or not scaled.size:
        return []
    largest = np.maximum(scaled.max(axis=0), -scaled.min(axis=0))
    found = [f"{columns[place]!r} ({largest[place]:.2g})" for place in np.flatnonzero(largest > FAR).tolist()]
    return [f"{where}: values that far outside what training has, in its deviations: {listed(found)}"] if found else []


IMPUTE = "set `data.impute` to mean, median or zero; it is fitted on the training split"


class Missing(NamedTuple):
    """How many values are missing, in how many samples, and the row and column of the first, counted as they are."""

    values: int
    samples: int
    first: tuple[int, int] | None


def missing_among(values: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Missing:
    """What is missing of rows (N,) and columns (K,) of (T, D) values; all of a column that is -1."""
    import numpy as np

    count = samples = 0
    first = None
    for span in row_spans(len(rows), len(columns)):
        missing = np.isnan(gathered(values, rows[span], columns))
        count += int(missing.sum())
        samples += int(missing.any(axis=1).sum())
        if first is None and missing.any():
            row, column = np.argwhere(missing)[0].tolist()
            first = int(rows[span][row]), column
    return Missing(count, samples, first)


def must_be_complete(
    found: Missing, name: Callable[[int], str], columns: Sequence[str], where: str, do: str = IMPUTE
) -> None:
    """Refuse what is missing of samples that have the modality, under ``impute: refuse``.

    Parameters
    ----------
    name
        Of a row.
    columns
        K names of the columns that were looked at.
    do
        What helps.
    """
    if found.first is None:
        return
    row, column = found.first
    raise DataError(
        f"{counted(found.values, 'missing value')}, in {counted(found.samples, 'sample')}",
        where=f"{where}, {name(row)}, column {columns[column]!r}",
        got="nothing (and no other value is filled in unless the recipe says so)",
        do=do,
    )


def _kept(varies: NDArray[np.bool_], columns: Sequence[str], policy: str, where: str) -> NDArray[np.int64]:
    import numpy as np

    constant = [columns[index] for index in np.flatnonzero(~varies).tolist()]
    if constant and policy == "refuse":
        raise DataError(
            f"{len(constant)} of {len(columns)} columns are constant in the training split",
            where=where,
            got=listed(constant),
            do="set `data.constant: drop` (or `keep`)",
        )
    kept = np.flatnonzero(varies) if policy == "drop" else np.arange(len(columns))
    if not len(kept):
        raise DataError("every column is constant in the training split", where=where, got=f"{len(columns)} columns")
    return kept


def _fill(rows: NDArray[np.float64], policy: str) -> NDArray[np.float64]:
    """(K,) what stands in for a missing value; NaN where training has no value to go by.

    Under ``refuse`` nothing is missing in training; new samples may be allowed to lack a value, and get the mean.
    """
    import numpy as np

    if policy == "zero":
        return np.zeros(rows.shape[1])
    return np.asarray(np.nanmedian(rows, axis=0) if policy == "median" else np.nanmean(rows, axis=0))
