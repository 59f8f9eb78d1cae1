"""Blocks of rows, dense or CSR, and what is computed of them: the same for both, in sums of float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
        there = ~np.isnan(block)
        filled = np.where(there, block, 0.0)
        return there.sum(axis=0).astype(np.float64), filled.sum(axis=0), (filled**2).sum(axis=0)
    values, width = block.data.astype(np.float64), block.shape[1]
    total, squares = (
        np.bincount(block.indices, weights=each, minlength=width).astype(np.float64) for each in (values, values**2)
    )
    return np.full(width, float(block.shape[0])), total, squares
