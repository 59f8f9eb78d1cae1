"""Large sparse matrices, looked at while they are read: which rows are equal, which columns may be no measurements.

A column that has one value for each class or group, or lies on a line with the labels or the numbers of the rows, is
zero in one of them at most. So it has as many values other than zero as there are samples, or fewer by those of one
class (group, value, row), which next to no counted gene has. Those that do are read once more, and searched as tables
in memory are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from omib_cli.sources.leaks import FIRST, Known, codes_of, may_be_straight, one_within
from omib_cli.sources.matrices import DENSE, Matrix, SparseFile
from omib_cli.sources.table_files import FeatureTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LookedAt:
    """A matrix that is looked at while its blocks are read for the first time.

    Parameters
    ----------
    rows
        (N,) rows of the matrix that are samples.

    Attributes
    ----------
    digests
        A hash of the values of each row of the matrix; empty for a row of zeros.
    filled
        (D,) how many samples have another value than zero.
    filled_rows
        The same of all rows, samples or not.
    places, some
        A few rows from the first to the last, and their values, dense.
    """

    def __init__(self, matrix: SparseFile, rows: NDArray[np.int64]) -> None:
        import numpy as np

        self._matrix, self.shape = matrix, matrix.shape
        self._is_sample = np.isin(np.arange(self.shape[0]), rows)
        self._read = False
        self.digests: list[bytes] = []
        self.filled, self.filled_rows = (np.zeros(self.shape[1], dtype=np.int64) for _ in range(2))
        self.places = np.unique(np.linspace(0, self.shape[0] - 1, FIRST).astype(np.int64))
        self.some = np.zeros((len(self.places), self.shape[1]), dtype=np.float32)

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """Those of the matrix."""
        for start, block in self._matrix.blocks():
            if not self._read:
                self._look(start, block)
            yield start, block
        self._read = True

    def _look(self, start: int, block: Any) -> None:
        import numpy as np

        if not block.has_sorted_indices or not block.data.all():
            block = block.copy()
            block.eliminate_zeros()
            block.sort_indices()
        ends = block.indptr.tolist()
        for first, stop in pairwise(ends):
            digest = blake2b(block.indices[first:stop], digest_size=16)
            digest.update(block.data[first:stop])
            self.digests.append(digest.digest() if stop > first else b"")
        own = self._is_sample[start : start + block.shape[0]]
        every = np.bincount(block.indices, minlength=self.shape[1])
        self.filled_rows += every
        self.filled += every if own.all() else np.bincount(block[own].indices, minlength=self.shape[1])
        here = (self.places >= start) & (self.places < start + block.shape[0])
        self.some[here] = block[self.places[here] - start].toarray()

    def suspects(self, rows: NDArray[np.int64], known: Known) -> list[int]:
        """Columns that may say the label or the group of samples (N,), or count the rows; few, and no proof."""
        import numpy as np

        found = self._may_count_rows()
        is_seen = np.isin(self.places, rows)
        order = np.argsort(rows)
        seen = order[np.searchsorted(rows, self.places[is_seen], sorter=order)]
        labels = codes_of(known.labels)
        found |= self._lacks_one(labels) & (
            one_within(self.some[is_seen], labels[seen])
            if known.classes
            else may_be_straight(self.some[is_seen], known.labels[seen])
        )
        if known.groups is not None:
            groups = codes_of(known.groups)
            found |= self._lacks_one(groups) & one_within(self.some[is_seen], groups[seen])
        return np.flatnonzero(found).tolist()

    def _lacks_one(self, codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which columns (D,) are zero in no sample, or in as many samples as have one of the codes (N,)."""
        import numpy as np

        return np.isin(self.filled, len(codes) - np.append(np.bincount(codes), 0))

    def _may_count_rows(self) -> NDArray[np.bool_]:
        import numpy as np

        some, last = self.some.astype(np.float64), int(self.places[-1])
        step = (some[-1] - some[0]) / max(1, last)
        line = some[0] + step * self.places[:, np.newaxis]
        is_line = (step != 0) & np.all(np.abs(some - line) <= 1e-3 * np.abs(step), axis=0)
        return np.asarray(is_line & (self.filled_rows >= self.shape[0] - 1))


def in_memory(table: FeatureTable, columns: Sequence[int]) -> Iterator[tuple[Sequence[int], FeatureTable]]:
    """Some columns of a large table and their positions, as tables that are in memory."""
    import numpy as np

    assert table.large is not None
    step = max(1, DENSE // table.count)
    for start in range(0, len(columns), step):
        own = columns[start : start + step]
        blocks: Matrix = table.large.select(own)
        values = np.concatenate([block.toarray() for _, block in blocks.blocks()]).astype(np.float64)
        yield own, replace(table, columns=[table.columns[place] for place in own], values=values, large=None)
