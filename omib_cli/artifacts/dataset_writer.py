"""Writing ``dataset.h5`` a block of rows at a time, so that memory does not grow with N and a killed writer resumes.

All arrays are allocated before the first row is written; afterwards only raw bytes change. A process that is
killed in mid-write therefore leaves a readable file, and the rows after the last saved block are written again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import must_be_unique
from omib_cli.artifacts.files import explained, publish, reserve, sync
from omib_cli.artifacts.hashing import array_digest, block_digest, described, digest_rows
from omib_cli.artifacts.hdf5 import Disk, write_provenance
from omib_cli.artifacts.partial import Partial
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import DataError

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray


_SIZES = {"float32": 4, "int32": 4, "uint8": 1}


@dataclass
class ModalityPlan:
    """What is known of a modality before its values are read.

    Attributes
    ----------
    shape, kind
        Of one sample, as in ``format``.
    features, preprocessing
        Names (D,), and arrays fitted on the training split.
    config
        What an encoder must know of it, as JSON: the configuration of a text model.
    neighbours
        (N, K) of a graph: the rows of each row's neighbours, -1 where there is none; never across splits.
    """

    shape: tuple[int, ...]
    kind: str = fmt.VECTOR
    features: Sequence[str] | None = None
    preprocessing: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    neighbours: NDArray[np.int32] | None = None

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample."""
        return _SIZES[fmt.DTYPES[self.kind]] * prod(self.shape)


@dataclass
class DatasetPlan:
    """What is known of a dataset before its values are read.

    Attributes
    ----------
    ids
        N unique sample ids, in the final order of rows.
    split
        N indices into ``format.ALL_SPLITS``, never decreasing.
    facts
        Further content: the simulation's truth, counts of what was dropped, hashes of source files.
    """

    ids: Sequence[str]
    split: NDArray[np.uint8]
    task: str
    classes: list[str]
    modalities: dict[str, ModalityPlan]
    groups: Sequence[str] | None = None
    coordinates: NDArray[np.float64] | None = None
    delta: NDArray[np.float64] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Block:
    """Consecutive rows: values (rows, ...) and presence (rows,) by modality, labels (rows,)."""

    values: dict[str, NDArray[Any]]
    present: dict[str, NDArray[np.bool_]]
    labels: NDArray[np.float64]


class Source(Protocol):
    """Anything that can be made into a dataset: a simulation, tables, a folder of clips.

    Made as ``Class(recipe, input_path, like)``. Where ``like`` says what a trained model's data were prepared with
    (``artifacts.prepared``), all samples are of the split ``new``, nothing is fitted, and labels may be unknown (NaN).
    """

    @property
    def warnings(self) -> list[str]:
        """What the user should know but need not act on; complete after :meth:`plan`."""

    def files(self) -> dict[str, str]:
        """SHA-256 of every source file by its name relative to the input; empty for a simulation."""

    def plan(self) -> DatasetPlan:
        """Look at everything but the values; refuse what cannot be used."""

    def block(self, start: int, stop: int) -> Block:
        """Rows ``start`` to ``stop`` of the plan's order; depends on nothing but its arguments."""


class DatasetWriter:
    """Writes a source to a file, resumably.

    Parameters
    ----------
    plan
        From ``source.plan()``.
    partial
        Where the unfinished file and its state live.
    """

    def __init__(self, plan: DatasetPlan, partial: Partial) -> None:
        self.plan = plan
        self._partial = partial
        self._path = partial.folder / "data.h5"
        self.rows_done = 0
        self._digests: dict[str, list[str]] = {}
        with self._explained():
            self._disk, self.file = self._resume() or self._start()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.file.close()
        self._disk.close()

    def write(self, start: int, block: Block) -> None:
        """Write a block that starts at row ``start`` (= ``rows_done``) and note its digests."""
        import numpy as np

        stop = start + len(block.labels)
        arrays: dict[str, NDArray[Any]] = {fmt.LABELS: block.labels}
        for name in self.plan.modalities:
            arrays[f"{fmt.MODALITIES}/{name}/{fmt.VALUES}"] = block.values[name]
            arrays[f"{fmt.MODALITIES}/{name}/{fmt.PRESENT}"] = block.present[name]
        with self._explained():
            for path, array in arrays.items():
                self.file[path][start:stop] = np.ascontiguousarray(array, dtype=self.file[path].dtype)
                self._disk.check()
                self._digest(path, stop)
            self.rows_done = stop
            if self._partial.due:
                self.file.flush()
                self._disk.check()
                sync(self._path)
                self._partial.checkpoint(self._state())

    @property
    def block_rows(self) -> int:
        """Rows that a block may have at most; all but the last must have as many."""
        return min(fmt.block_rows(modality.row_bytes) for modality in self.plan.modalities.values())

    def _digest(self, path: str, stop: int) -> None:
        """Digest the array's blocks that are complete once rows up to ``stop`` are written, as they are stored."""
        array, done = self.file[path], self._digests.setdefault(path, [])
        rows = digest_rows(array)
        while (start := len(done) * rows) < stop and (start + rows <= stop or stop == len(self.plan.ids)):
            done.append(block_digest(array[start : start + rows]))

    def finish(self, out: Path, provenance: Provenance) -> Provenance:
        """Seal the file and give it its final name."""
        provenance.facts = {
            "task": self.plan.task,
            "classes": self.plan.classes,
            "modalities": list(self.plan.modalities),
            "configs": {name: dict(one.config) for name, one in self.plan.modalities.items() if one.config},
            **self.plan.facts,
        }
        arrays = {path: described(array) for path, array in self._fixed().items()}
        for path, digests in self._digests.items():
            stored = self.file[path]
            arrays[path] = (stored.dtype.name, stored.shape, array_digest(digests))
        with self._explained():
            # Sealing changes the file's structure; killed in the midst of it, the file is not to be trusted any more.
            self._partial.save({**self._state(), "sealing": True})
            write_provenance(self.file, provenance.seal(arrays))
            self.file.close()
            self._disk.check()
            publish(self._path, out)
        self._partial.discard()
        return provenance

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._path, "the dataset")

    def _resume(self) -> tuple[Disk, h5py.File] | None:
        """The unfinished file, open for writing, if there is one that can be continued."""
        import h5py

        state = self._partial.load() if self._path.exists() else None
        if state is None or state.get("sealing"):
            return None
        disk = Disk(self._path, "r+")
        try:
            file = h5py.File(disk, "r+")
        except OSError:  # damaged by a crash of the machine: nothing to continue from
            disk.close()
            return None
        self.rows_done, self._digests = state["rows"], state["digests"]
        return disk, file

    def _start(self) -> tuple[Disk, h5py.File]:
        """A new file with room for every row, and a state that says that none is written."""
        import h5py

        must_be_unique(self.plan.ids, do="rename one of them in the source")
        self._partial.discard()  # first of all: an old state must never meet a new file
        self._partial.folder.mkdir(parents=True)
        _must_fit(self.plan, self._partial.folder)
        disk = Disk(self._path, "w+")
        file = h5py.File(disk, "w")
        try:
            self._allocate(file)
            file.flush()
            disk.check()
            reserve(self._path)
        except BaseException:
            file.close()  # HDF5 must never find its disk gone before it
            disk.close()
            raise
        sync(self._path)
        self._partial.save(self._state())
        return disk, file

    def _fixed(self) -> dict[str, Any]:
        """Arrays, or texts, that are known from the start, by path."""
        plan = self.plan
        fixed: dict[str, Any] = {fmt.IDS: _Texts(plan.ids), fmt.SPLIT: plan.split}
        if plan.groups is not None:
            fixed[fmt.GROUPS] = _Texts(plan.groups)
        if plan.coordinates is not None:
            fixed[fmt.COORDINATES] = plan.coordinates
        if plan.delta is not None:
            fixed[f"{fmt.TRUTH}/delta"] = plan.delta
        for name, modality in plan.modalities.items():
            group = f"{fmt.MODALITIES}/{name}"
            if modality.features is not None:
                fixed[f"{group}/{fmt.FEATURES}"] = _Texts(modality.features)
            if modality.neighbours is not None:
                fixed[f"{group}/{fmt.NEIGHBOURS}"] = modality.neighbours.astype("int32")
            for key, array in modality.preprocessing.items():
                fixed[f"{group}/{fmt.PREPROCESSING}/{key}"] = array
        return fixed

    def _allocate(self, file: h5py.File) -> None:
        import h5py

        for path, array in self._fixed().items():
            if isinstance(array, _Texts):
                texts = file.create_dataset(path, array.shape, h5py.string_dtype())
                for start in range(0, len(texts), fmt.BLOCK_ROWS):
                    texts[start : start + fmt.BLOCK_ROWS] = array[start : start + fmt.BLOCK_ROWS]
            else:
                file.create_dataset(path, data=array)
        rows = len(self.plan.ids)
        _allocate_array(file, fmt.LABELS, (rows,), "float64")
        for name, modality in self.plan.modalities.items():
            group = f"{fmt.MODALITIES}/{name}"
            _allocate_array(file, f"{group}/{fmt.VALUES}", (rows, *modality.shape), fmt.DTYPES[modality.kind])
            _allocate_array(file, f"{group}/{fmt.PRESENT}", (rows,), "bool")
            file[group].attrs[fmt.ATTR_MODALITY_KIND] = modality.kind

    def _state(self) -> dict[str, Any]:
        return {"rows": self.rows_done, "digests": self._digests}


class _Texts:
    """A sequence of names that can be cut like an array; of one that makes its names up, a block is in memory."""

    def __init__(self, names: Sequence[str]) -> None:
        import numpy as np

        self._names = names
        self.shape, self.dtype = (len(names),), np.dtype(object)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        import numpy as np

        return np.array(self._names[rows], dtype=object)


def _must_fit(plan: DatasetPlan, folder: Path) -> None:
    """Refuse at once what the disk cannot hold, instead of after an hour's writing."""
    values = sum(modality.row_bytes for modality in plan.modalities.values())
    needed, free = len(plan.ids) * values, shutil.disk_usage(folder).free
    if needed > free:
        folder.rmdir()
        raise DataError(
            "the disk has no room for the dataset",
            where=folder.parent,
            got=f"{free / 2**20:,.1f} MiB free",
            expected=f"{needed / 2**20:,.1f} MiB",
            do="free some space, or choose another disk with -o",
        )


def _allocate_array(file: h5py.File, path: str, shape: tuple[int, ...], dtype: str) -> None:
    """A contiguous array whose space is reserved at once, so that later writes touch raw bytes only."""
    import h5py
    import numpy as np

    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
    h5py.h5d.create(file.id, path.encode(), kind, h5py.h5s.create_simple(shape), dcpl=creation, lcpl=links)
