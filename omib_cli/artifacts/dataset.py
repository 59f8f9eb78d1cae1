"""``dataset.h5``: samples as rows, modalities side by side, the test split behind a door.

Rows are ordered train, validation, test, so that every split, and every block of it, is one sequential read.
A reader opened for training does not reach a row of the test split, whatever it asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.hashing import digest_rows
from omib_cli.artifacts.hdf5 import open_hdf5, read_provenance, text
from omib_cli.errors import DataError, MismatchError

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

TRAINING = ("train", "validation")
EVERYTHING = fmt.ALL_SPLITS


@dataclass(frozen=True)
class Modality:
    """One modality of a dataset: its kind, the shape of one sample, such as (1000,), and what its encoder must know."""

    kind: str
    shape: tuple[int, ...]
    config: dict[str, Any]


class Dataset:
    """Read access to a dataset, lazily, restricted to some splits.

    Parameters
    ----------
    path
        The file.
    splits
        ``TRAINING`` or ``EVERYTHING``. Rows of other splits cannot be read through this object.

    Raises
    ------
    DataError
        Missing, truncated, of another kind, or inconsistent.
    """

    def __init__(self, path: Path, splits: Sequence[str] = TRAINING) -> None:
        self.path = path
        self._file = open_hdf5(path, fmt.DATASET)
        try:
            self._look(splits)
        except BaseException:
            self._file.close()
            raise

    def _look(self, splits: Sequence[str]) -> None:
        """Read what the file says about itself and refuse what contradicts itself."""
        path = self.path
        self.provenance = read_provenance(self._file, path)
        facts = self.provenance.facts
        _must_be_whole(self._file, facts, path)
        self.task: str = facts["task"]
        self.classes: list[str] = facts["classes"]
        self.modalities = {
            name: Modality(
                text(group.attrs[fmt.ATTR_MODALITY_KIND]),
                tuple(group[fmt.VALUES].shape[1:]),
                facts.get("configs", {}).get(name, {}),
            )
            for name, group in ((name, self._file[f"{fmt.MODALITIES}/{name}"]) for name in facts["modalities"])
        }
        self._starts = _split_starts(self._file[fmt.SPLIT], path)
        self._allowed = tuple(splits)
        self._limit = max((self._starts[name].stop for name in splits), default=0)
        self._must_have_unique_ids()
        known = 0 if self.task == "anomaly" else min(self._limit, self._starts[fmt.NEW].start)
        _must_have_labels(self.labels(self.readable), self.classes, path, known)

    def _must_have_unique_ids(self) -> None:
        rows = range(0, len(self.readable), fmt.BLOCK_ROWS)
        blocks = (self.ids(range(start, min(len(self.readable), start + fmt.BLOCK_ROWS))) for start in rows)
        if not _all_differ(chain.from_iterable(blocks), len(self.readable)):
            must_be_unique(self.ids(self.readable), f"{self.path}:/{fmt.IDS}", do="make the dataset again")

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def rows(self, split: str) -> range:
        """The consecutive rows of a split.

        Raises
        ------
        PermissionError
            The split is not among those this reader was opened for (a defect of the caller, not of the user).
        """
        if split not in self._allowed:
            message = f"the {split} split is not readable here"
            raise PermissionError(message)
        return self._starts[split]

    @property
    def readable(self) -> range:
        """All rows of the splits this reader was opened for."""
        return range(self._limit)

    def whole_splits(self, rows: range) -> range:
        """The rows of all splits that ``rows`` are in."""
        touched = [split for split in self._starts.values() if split.start < rows.stop and rows.start < split.stop]
        return range(touched[0].start, touched[-1].stop) if touched else range(rows.start, rows.start)

    @property
    def block_rows(self) -> int:
        """Rows to read at once, so that no modality of them is larger than ``format.BLOCK_BYTES``."""
        arrays = [self._file[f"{fmt.MODALITIES}/{name}/{fmt.VALUES}"] for name in self.modalities]
        return min(digest_rows(array) for array in arrays)

    def blocks(self, rows: range) -> Iterator[range]:
        """Consecutive pieces of ``rows`` of at most :attr:`block_rows`."""
        for start in range(rows.start, rows.stop, self.block_rows):
            yield range(start, min(rows.stop, start + self.block_rows))

    def neighbours(self, modality: str, rows: range) -> NDArray[np.int32]:
        """Rows of the neighbours of each row of a graph (rows, K), -1 where there is none."""
        return cast("NDArray[np.int32]", self._read(f"{fmt.MODALITIES}/{modality}/{fmt.NEIGHBOURS}", rows))

    def values(self, modality: str, rows: range) -> NDArray[Any]:
        """One modality of consecutive rows: (rows, ...) of the kind's dtype, zeros where it is missing."""
        import numpy as np

        place = f"{fmt.MODALITIES}/{modality}/{fmt.VALUES}"
        found: NDArray[Any] = self._read(place, rows)
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            row = rows.start + int(np.argwhere(~np.isfinite(found))[0][0])
            raise DataError(
                "NaN or infinite values in the dataset",
                where=f"{self.path}:/{place}, row {row}",
                do="make the dataset again (`data.impute` fills missing values in)",
            )
        return found

    def read_into(self, modality: str, rows: range, out: NDArray[Any]) -> None:
        """Put the values of consecutive rows into a contiguous array (rows, ...) of the kind's dtype, unchecked."""
        place = f"{fmt.MODALITIES}/{modality}/{fmt.VALUES}"
        self._must_be_readable(rows)
        try:
            self._file[place].read_direct(out, slice(rows.start, rows.stop))
        except (KeyError, OSError) as error:
            raise DataError("the dataset is damaged", where=f"{self.path}:/{place}", got=error) from error

    def present(self, rows: range) -> NDArray[np.bool_]:
        """Which modalities each row has: (rows, M) bool, in the recipe's order."""
        import numpy as np

        columns = [self._read(f"{fmt.MODALITIES}/{name}/{fmt.PRESENT}", rows) for name in self.modalities]
        return np.stack(columns, axis=1).astype(bool)

    def labels(self, rows: range) -> NDArray[np.float64]:
        """Class indices or values: (rows,) float64; NaN where unknown."""
        return cast("NDArray[np.float64]", self._read(fmt.LABELS, rows))

    def ids(self, rows: range) -> list[str]:
        """Sample ids of the rows."""
        return [text(value) for value in self._read(fmt.IDS, rows)]

    def groups(self, rows: range) -> list[str] | None:
        """Groups of the rows, or None where the dataset has none."""
        return [text(value) for value in self._read(fmt.GROUPS, rows)] if fmt.GROUPS in self._file else None

    def coordinates(self, rows: range) -> NDArray[np.float64] | None:
        """Positions of the rows (rows, 2), or None where the dataset has none."""
        if fmt.COORDINATES not in self._file:
            return None
        return cast("NDArray[np.float64]", self._read(fmt.COORDINATES, rows))

    def split_names(self, rows: range) -> list[str]:
        """Name of the split of each row."""
        return [fmt.ALL_SPLITS[code] for code in self._read(fmt.SPLIT, rows)]

    def preprocessing(self, modality: str) -> dict[str, NDArray[Any]]:
        """What was fitted on the training split, by name; empty where nothing was."""
        group = self._file.get(f"{fmt.MODALITIES}/{modality}/{fmt.PREPROCESSING}")
        return {} if group is None else {name: group[name][:] for name in group}

    def features(self, modality: str) -> list[str] | None:
        """Feature names, or None."""
        names = self._file.get(f"{fmt.MODALITIES}/{modality}/{fmt.FEATURES}")
        return None if names is None else [text(value) for value in names[:]]

    def truth(self) -> dict[str, Any] | None:
        """What the simulation knows, or None for real data.

        ``delta`` (array), ``sizes[part]``, ``relevant`` (the parts that delta multiplies, in its order),
        ``columns[modality][part]`` and ``delta_columns[part]``, both [start, stop].
        """
        facts = self.provenance.facts.get(fmt.TRUTH)
        return None if facts is None else {**facts, "delta": self._file[f"{fmt.TRUTH}/delta"][:]}

    def must_fit(self, modalities: Sequence[str], task: str) -> None:
        """Refuse to be used with a recipe that names other modalities or another task.

        Raises
        ------
        MismatchError
            Naming both sides.
        """
        if list(modalities) != list(self.modalities):
            raise MismatchError(
                "the recipe and the dataset have different modalities",
                where=self.path,
                got=f"dataset: {', '.join(self.modalities)}",
                expected=f"recipe: {', '.join(modalities)} (the order counts: the first is the reference)",
                do="use the recipe that made the dataset (leave out --recipe), or prepare the data again",
            )
        if task != self.task:
            raise MismatchError(
                "the recipe and the dataset have different tasks",
                where=self.path,
                got=f"dataset: {self.task}",
                expected=f"recipe: {task}",
            )

    def _must_be_readable(self, rows: range) -> None:
        if rows.step != 1 or rows.start < 0 or rows.stop > self._limit:
            message = f"rows {rows} are outside the {' and '.join(self._allowed)} split of {self.path}"
            raise PermissionError(message)

    def _read(self, name: str, rows: range) -> Any:
        self._must_be_readable(rows)
        try:
            return self._file[name][rows.start : rows.stop]
        except (KeyError, OSError) as error:
            raise DataError("the dataset is damaged", where=f"{self.path}:/{name}", got=error) from error


@contextmanager
def opened(dataset: Dataset | Path) -> Iterator[Dataset]:
    """A dataset to train on: one that is open is handed on and stays open; a path is opened here, and closed again."""
    if isinstance(dataset, Dataset):
        yield dataset
        return
    with Dataset(dataset) as data:
        yield data


def _must_be_whole(file: h5py.File, facts: dict[str, Any], path: Path) -> None:
    """Every array that the file promises is there, with as many rows as there are samples, and some columns."""
    try:
        rows = file[fmt.SPLIT].shape[0]
        dtypes = {fmt.SPLIT: "uint8", fmt.IDS: "object", fmt.LABELS: "float64"}
        for one in (f"{fmt.MODALITIES}/{name}" for name in facts["modalities"]):
            dtypes[f"{one}/{fmt.PRESENT}"] = "bool"
            dtypes[f"{one}/{fmt.VALUES}"] = fmt.DTYPES[text(file[one].attrs[fmt.ATTR_MODALITY_KIND])]
        arrays = {name: file[name] for name in dtypes}
        named = {"task", "classes"} <= set(facts) and len(facts["modalities"]) > 0
        odd = [
            name
            for name, array in arrays.items()
            if array.dtype.name != dtypes[name] or array.shape[0] != rows or 0 in array.shape[1:]
        ]
    except (KeyError, AttributeError, IndexError) as error:
        raise DataError("the dataset is incomplete", where=path, got=error, do="make it again") from error
    if odd or not named:
        name = odd[0] if odd else fmt.PROVENANCE[fmt.DATASET]
        raise DataError(
            "the dataset contradicts itself",
            where=f"{path}:/{name}",
            got=f"{arrays[name].dtype.name} of shape {arrays[name].shape}" if odd else sorted(facts),
            expected=f"{dtypes[name]}, {rows} rows, at least one column" if odd else "task, classes, modalities",
            do="make it again",
        )


def must_be_unique(ids: Sequence[str], where: str | None = None, *, do: str) -> None:
    """Refuse two samples of the same id."""
    if _all_differ(ids, len(ids)):
        return
    seen: set[str] = set()
    twice = next((one for one in ids if one in seen or seen.add(one)), None)  # type: ignore[func-returns-value]
    if twice is not None:
        raise DataError("two samples have the same id", where=where, got=repr(twice), do=do)


def _all_differ(ids: Iterable[str], count: int) -> bool:
    """Whether ``count`` ids have as many hash codes: a million names would take more memory than the rows at work."""
    import numpy as np

    codes = np.fromiter((hash(one) for one in ids), dtype=np.int64, count=count)
    return len(np.unique(codes)) == count


def _must_have_labels(labels: NDArray[np.float64], classes: Sequence[str], path: Path, known: int) -> None:
    """Refuse labels that are none; NaN is one that nobody knows, which the first ``known`` rows must not have."""
    import numpy as np

    good = np.isfinite(labels)
    if classes:
        good &= (labels >= 0) & (labels < len(classes)) & (labels == np.floor(labels))
    good[known:] |= np.isnan(labels[known:])
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            "a label out of range",
            where=f"{path}:/{fmt.LABELS}, row {row}",
            got=labels[row],
            expected=f"0 to {len(classes) - 1}, the index of a class" if classes else "a finite number",
            do="make the dataset again",
        )


def _split_starts(split: h5py.Dataset, path: Path) -> dict[str, range]:
    import numpy as np

    codes = split[:]
    if codes.size and (np.any(np.diff(codes.astype(int)) < 0) or codes.max() >= len(fmt.ALL_SPLITS)):
        raise DataError("rows are not ordered by split", where=f"{path}:/{fmt.SPLIT}", do="make the dataset again")
    edges = np.searchsorted(codes, range(len(fmt.ALL_SPLITS) + 1))
    return {name: range(int(edges[i]), int(edges[i + 1])) for i, name in enumerate(fmt.ALL_SPLITS)}
