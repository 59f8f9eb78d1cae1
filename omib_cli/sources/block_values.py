"""Blocks of rows, dense or CSR, and what is computed of them: the same for both, in sums of float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BLOCK_VALUES = 2**18
"""Of a dense table that are copied at a time (2 MiB)."""


def row_spans(count: int, width: int) -> Iterator[slice]:
    """Consecutive rows of (count, width) values, few enough to be copied at a time."""
    step = max(1, BLOCK_VALUES // max(1, width))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def column_spans(count: int, width: int) -> Iterator[slice]:
    """Consecutive columns of (count, width) values, few enough to be copied at a time.

    Never one of several: NumPy adds up a single column in another order than those of a table.
    """
    parts = max(1, min(width // 2, -(-count * width // BLOCK_VALUES)))
    for part in range(parts):
        yield slice(part * width // parts, (part + 1) * width // parts)


def gathered(values: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows (B,) and columns (K,) of values (N, D): (B, K), NaN where either is -1."""
    import numpy as np

    found = np.empty((len(rows), len(columns)))
    whole = np.array_equal(columns, np.arange(values.shape[1]))
    for span in row_spans(*found.shape):
        own = rows[span]
        found[span] = values[own] if whole else values[own][:, columns]
        found[span][own < 0] = np.nan
    found[:, columns < 0] = np.nan
    return found


def mapped(block: Any, function: Callable[[Any], Any]) -> Any:
    """A function that leaves 0 what it is, element by element."""
    import numpy as np

    if isinstance(block, np.ndarray):
        return function(block)
    found = block.copy()
    found.data = function(block.data)
    return found


def sums_of(block: Any) -> NDArray[np.float64]:
    """Of each row."""
    import numpy as np

    if isinstance(block, np.ndarray):
        return np.asarray(np.nansum(block, axis=1))
    return np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()


def rows_scaled(block: Any, factors: NDArray[np.float64]) -> Any:
    """Each row times its factor."""
    import numpy as np

    if isinstance(block, np.ndarray):
        return block * factors[:, np.newaxis]
    scaled = block.copy()
    scaled.data = block.data * np.repeat(factors.astype(block.dtype), np.diff(block.indptr))
    return scaled


def columns_scaled(block: Any, factors: NDArray[np.float64]) -> Any:
    """Each column times its factor."""
    import numpy as np

    if isinstance(block, np.ndarray):
        return block * factors
    scaled = block.copy()
    scaled.data = block.data * factors.astype(block.dtype)[block.indices]
    return scaled


def moments(block: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each column how many values there are, their sum, and the sum of their squares."""
    import numpy as np

    if isinstance(block, np.ndarray):
        parts = [_moments(block[:, span]) for span in column_spans(*block.shape)]
        count, total, squares = (np.concatenate(part) for part in zip(*parts, strict=True))
        return count, total, squares
    values, width = block.data.astype(np.float64), block.shape[1]
    total, squares = (
        np.bincount(block.indices, weights=each, minlength=width).astype(np.float64) for each in (values, values**2)
    )
    return np.full(width, float(block.shape[0])), total, squares


def _moments(block: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """As :func:`moments`, of dense columns."""
    import numpy as np

    there = ~np.isnan(block)
    filled = np.where(there, block, 0.0)
    return there.sum(axis=0).astype(np.float64), filled.sum(axis=0), (filled**2).sum(axis=0)
