"""Matrices of samples by features that are read a block of rows at a time, from memory or from an HDF5 file.

A block is a (rows, D) NumPy array, or a CSR matrix of float32 where the file is sparse. Indices of a file are checked
before anything is made of them: SciPy does not look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from omib_cli.errors import DataError
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK_BYTES = 48 * 2**20
"""Of a file that are read at once."""
SHARE = 16
"""Of the memory that is given for samples a block takes one part in so many: it is copied on its way."""
DENSE = 2**24
"""Values of a sparse matrix in a file up to which it is read whole and made dense (128 MiB)."""


class Matrix(Protocol):
    """Samples by features.

    Attributes
    ----------
    shape
        (N, D).
    """

    shape: tuple[int, int]

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """First row and values of consecutive blocks."""


class DenseMatrix:
    """A matrix in memory, in one block."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values
        self.shape: tuple[int, int] = (values.shape[0], values.shape[1])

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """The one block."""
        yield 0, self.values


class SparseFile:
    """A sparse matrix in an HDF5 file: AnnData's groups, and the ``matrix`` of 10x Genomics.

    Rows are samples. What is stored by columns (CSC) is turned once, into arrays of float32 and int32 in memory.

    Parameters
    ----------
    group
        Where ``data``, ``indices`` and ``indptr`` are in the file.
    by_rows
        Whether ``indptr`` counts rows.
    columns
        Positions of the features that are wanted; None for all.

    Raises
    ------
    DataError
        Arrays that do not fit each other.
    """

    def __init__(
        self,
        path: Path,
        group: str,
        shape: tuple[int, int],
        where: str,
        *,
        by_rows: bool,
        columns: NDArray[np.int64] | None = None,
    ) -> None:
        self._path, self._group, self._whole, self.where = path, group, shape, where
        self._by_rows, self._columns = by_rows, columns
        self._block_bytes = BLOCK_BYTES
        self._turned: Any = None
        self.shape: tuple[int, int] = (shape[0], shape[1] if columns is None else len(columns))

    def select(self, columns: Sequence[int]) -> SparseFile:
        """The same rows of some features; -1 is one that the file does not have, and zero throughout."""
        import numpy as np

        if self._columns is None and list(columns) == list(range(self.shape[1])):
            return self
        chosen = np.asarray(columns, dtype=np.int64)
        chosen = chosen if self._columns is None else np.where(chosen < 0, -1, self._columns[chosen])
        return SparseFile(self._path, self._group, self._whole, self.where, by_rows=self._by_rows, columns=chosen)

    def within(self, memory: int | None) -> SparseFile:
        """The same matrix, read in smaller blocks where that is all the memory (bytes) there is for samples."""
        if memory is not None:
            self._block_bytes = min(self._block_bytes, max(8, memory // SHARE))
        return self

    def column(self, position: int) -> NDArray[np.float64]:
        """One column (N,)."""
        import numpy as np

        blocks = (block for _, block in self.select([position]).blocks())
        return np.concatenate([block.toarray()[:, 0] for block in blocks]).astype(np.float64)

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """CSR matrices of float32; values that are not finite are refused."""
        for start, block in self._by_row() if self._by_rows else self._by_column():
            yield start, block if self._columns is None else self._chosen(block)

    def _chosen(self, block: Any) -> Any:
        """The wanted columns of a block."""
        import numpy as np
        from scipy.sparse import csr_matrix

        assert self._columns is not None
        there = np.flatnonzero(self._columns >= 0)
        if len(there) == len(self._columns):
            return block[:, self._columns]
        ones = np.ones(len(there), dtype=np.float32)
        select = csr_matrix((ones, (self._columns[there], there)), shape=(self._whole[1], len(self._columns)))
        return csr_matrix(block @ select)

    def _by_row(self) -> Iterator[tuple[int, Any]]:
        import h5py
        import numpy as np
        from scipy.sparse import csr_matrix

        with h5py.File(self._path, "r", locking=False) as file:
            group = file[self._group]
            ends = self._ends(group, self._whole[0])
            row = 0
            while row < self._whole[0]:
                most = ends[row] + self._block_bytes // 8
                stop = max(row + 1, int(np.searchsorted(ends, most, side="right")) - 1)
                data, indices = self._read(group, int(ends[row]), int(ends[stop]), self._whole[1])
                block = csr_matrix((stop - row, self._whole[1]), dtype=np.float32)
                block.data, block.indices, block.indptr = (
                    data,
                    indices,
                    (ends[row : stop + 1] - ends[row]).astype(np.int32),
                )
                yield row, block
                row = stop

    def _by_column(self) -> Iterator[tuple[int, Any]]:
        if self._turned is None:
            self._turned = self._turn()
        rows = max(1, self._block_bytes // 8 * self._whole[0] // max(1, self._turned.nnz))
        for start in range(0, self._whole[0], rows):
            yield start, self._turned[start : start + rows]

    def _turn(self) -> Any:
        """CSC to CSR in memory: rows are counted, then each value goes to its place."""
        import h5py
        import numpy as np
        from scipy.sparse import csr_matrix

        count, width = self._whole
        with h5py.File(self._path, "r", locking=False) as file:
            group = file[self._group]
            ends = self._ends(group, width)
            size = self._block_bytes // 8
            pieces = [(start, min(start + size, int(ends[-1]))) for start in range(0, int(ends[-1]), size)]
            lengths = np.zeros(count, dtype=np.int64)
            for start, stop in pieces:
                lengths += np.bincount(self._read(group, start, stop, count)[1], minlength=count)
            places = np.concatenate([[0], np.cumsum(lengths)])
            following = places[:-1].copy()
            data, indices = np.empty(places[-1], np.float32), np.empty(places[-1], np.int32)
            for start, stop in pieces:
                values, rows = self._read(group, start, stop, count)
                columns = (np.searchsorted(ends, np.arange(start, stop), side="right") - 1).astype(np.int32)
                order = np.argsort(rows, kind="stable")
                counts = np.bincount(rows, minlength=count)
                rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
                target = following[rows[order]] + rank
                data[target], indices[target] = values[order], columns[order]
                following += counts
        turned = csr_matrix((count, width), dtype=np.float32)
        turned.data, turned.indices, turned.indptr = data, indices, places
        return turned

    def _ends(self, group: Any, count: int) -> NDArray[np.int64]:
        """Where each row, or column, begins (count + 1,), checked."""
        import numpy as np

        ends = group["indptr"][:].astype(np.int64)
        stored = min(len(group["data"]), len(group["indices"]))
        if len(ends) != count + 1 or ends[0] != 0 or np.any(np.diff(ends) < 0) or ends[-1] > stored:
            raise DataError(
                "a damaged sparse matrix",
                where=self.where,
                got=f"indptr of {len(ends)} from {ends[:1].tolist()} to {ends[-1:].tolist()}, {stored} values",
                expected=f"{count + 1} that do not fall, from 0 to the number of values",
            )
        return np.asarray(ends)

    def _read(self, group: Any, start: int, stop: int, limit: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Values and indices between two places of the file; indices below ``limit``, values finite."""
        import numpy as np

        data, indices = group["data"][start:stop].astype(np.float32), group["indices"][start:stop]
        if len(indices) and (indices.min() < 0 or indices.max() >= limit):
            raise DataError(
                "a damaged sparse matrix",
                where=self.where,
                got=f"an index of {int(indices.max())}" if indices.max() >= limit else "a negative index",
                expected=f"0 to {limit - 1}",
            )
        if not np.isfinite(data).all():
            bad = int((~np.isfinite(data)).sum())
            raise DataError(f"{counted(bad, 'value')} missing or infinite", where=self.where, expected="numbers")
        return data, indices.astype(np.int32)


class Blocks:
    """Rows that are in memory, in consecutive blocks, CSR or dense.

    Parameters
    ----------
    blocks
        First row and values (rows, D) of each, in order.
    """

    def __init__(self, blocks: Sequence[tuple[int, Any]]) -> None:
        self._starts = [start for start, _ in blocks]
        self._blocks = [block for _, block in blocks]
        last = self._blocks[-1]
        self.shape: tuple[int, int] = (self._starts[-1] + last.shape[0], last.shape[1])

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """First row and values of each."""
        yield from zip(self._starts, self._blocks, strict=True)

    @property
    def bytes(self) -> int:
        """What they take in memory."""
        return sum(
            block.nbytes if hasattr(block, "nbytes") else block.data.nbytes + block.indices.nbytes + block.indptr.nbytes
            for block in self._blocks
        )

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Rows (B,), dense (B, D)."""
        import numpy as np

        if len(self._blocks) == 1 and isinstance(self._blocks[0], np.ndarray):
            return self._blocks[0][rows]
        where = np.searchsorted(self._starts, rows, side="right") - 1
        found = np.zeros((len(rows), self.shape[1]), dtype=self._blocks[0].dtype)
        for place in np.unique(where):
            own = where == place
            part = self._blocks[place][rows[own] - self._starts[place]]
            found[own] = part.toarray() if hasattr(part, "toarray") else part
        return found
