"""``embedding.h5ad``: the embedding as AnnData, ready for scanpy, with predictions and posterior spread beside it.

``X`` (N, k) is xi; ``obs`` holds ids (index), split, label, group, prediction and its uni-modal counterparts
(classes by name, missing where unknown; of survival the signed time, with time and event beside it, and the
log-hazard; of values their spread), class probabilities and their entropy, the set of classes or the interval that
holds the truth with a stated probability, survival at chosen times, how novel each modality of a sample is;
``obsm`` holds the outputs behind the predictions (class probabilities with their logits, the value, or the anomaly
score) and the posterior's standard deviations; ``uns["omib"]["provenance"]`` is the artifact's description of itself,
as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.files import replacing
from omib_cli.artifacts.hashing import digest
from omib_cli.artifacts.hdf5 import created_hdf5, open_hdf5, read_provenance, text, write_provenance
from omib_cli.artifacts.provenance import Provenance
from omib_cli.distributed import processes
from omib_cli.errors import DataError

if TYPE_CHECKING:
    import anndata
    import h5py
    import numpy as np
    from numpy.typing import NDArray

X = "X"
"""Where the embedding is in the file (N, k)."""
IDS = "obs/id"
"""Where the samples' ids are."""
OUTPUT = "output"
"""``obsm`` key of the fused prediction's outputs; ``output_<modality>`` of the uni-modal ones."""
LOGITS = "logits"
"""``obsm`` key of the logits behind class probabilities, which tie near 0 and 1; ``logits_<modality>`` likewise."""
POSTERIOR_SD = "posterior_sd"
"""``obsm`` key prefix of the bottlenecks' standard deviations: ``posterior_sd_<modality>`` (N, k)."""
COMPRESSION = "kl"
"""Prefix of the ``obs`` columns of the bottlenecks' divergence from the prior in nats: ``kl_<modality>`` (N,)."""
NOVELTY = "novelty"
"""Prefix of the ``obs`` columns of how unlike the training samples one is: ``novelty_<modality>`` (N,), 0 to 1."""
PROBABILITY = "probability"
"""Prefix of the ``obs`` columns of class probabilities: ``probability_<class>`` (N,)."""
ENTROPY = "entropy"
"""``obs`` column of the entropy of the predicted class probabilities in nats (N,)."""
SURVIVAL = "survival"
"""Prefix of the ``obs`` columns of the probability of no event up to a time: ``survival_<time>`` (N,)."""
TIMES = "survival-times"
"""Fact of the provenance: the times of those columns."""
BASELINE = "baseline"
"""Note of the provenance: the baseline hazard and censoring of the training split, where survival is predicted."""
SET = "set"
"""``obs`` column of the classes of which one is the truth with a stated probability, joined by ``|`` (N,)."""
SPREAD = "spread"
"""``obs`` column of a value's expected distance from its prediction, root mean square, in the label's unit (N,)."""
LOW, HIGH = "low", "high"
"""``obs`` columns of the values between which the truth is with a stated probability (N,)."""
CLASSES = ("obs/label", "obs/prediction")
"""How the places of columns begin whose text is names of classes."""
SPATIAL = "spatial"
"""``obsm`` key of coordinates, where scanpy and squidpy look for them."""


Read = Callable[[range], Mapping[str, "NDArray[Any]"]]
"""Consecutive rows to their part of every array, by its place in the file: ``X``, ``obs/label``, ``obsm/output``."""


def probability_columns(classes: Sequence[str]) -> list[str]:
    """The ``obs`` column of each class's probability; HDF5 has no names with a slash, so that ``a/b`` is ``a_b``."""
    columns: list[str] = []
    for name in classes:
        column = f"{PROBABILITY}_{name.replace('/', '_')}"
        columns.append(column if column not in columns else f"{column}_{len(columns)}")
    return columns


def survival_columns(times: Sequence[float]) -> list[str]:
    """The ``obs`` column of each time's survival."""
    return [f"{SURVIVAL}_{time:g}" for time in times]


def joined_sets(within: NDArray[np.bool_], classes: Sequence[str]) -> list[str]:
    """Sets of classes (N, C) as text, ``a|b``; a bar in the name of a class is written as ``_``."""
    names = [name.replace("|", "_") for name in classes]
    return ["|".join(name for name, there in zip(names, row, strict=True) if there) for row in within.tolist()]


def write_embedding(out: Path, count: int, read: Read, provenance: Provenance) -> Provenance:
    """Write the embedding of ``count`` samples, whole or not at all, a block of rows at a time.

    Of several processes the first one writes; the others wait for it, and learn the hash.
    """
    written = None
    if processes.is_rank_zero():
        with replacing(out) as temporary, created_hdf5(temporary) as file:
            places = _fill(file, count, read, provenance.facts.get("classes") or [])
            provenance.seal(embedding_digests(file))
            _frame(file, places, provenance)
            write_provenance(file, provenance)
        written = provenance.to_json()
    return Provenance.from_json(processes.all_gather(written)[0], str(out))


def _fill(file: h5py.File, count: int, read: Read, classes: Sequence[str]) -> list[str]:
    """All arrays, as AnnData encodes them: numbers as they are, text but for the ids as categories. Their places.

    Empty text is a missing category. Labels and predictions have all ``classes`` as categories: they can be compared.
    """
    import h5py
    import numpy as np

    places: list[str] = []
    labels: dict[str, tuple[dict[str, int], NDArray[np.int32]]] = {}
    for start in range(0, count, fmt.BLOCK_ROWS):
        stop = min(count, start + fmt.BLOCK_ROWS)
        block = read(range(start, stop))
        places = list(block)
        for place, values in block.items():
            is_text = values.dtype.kind in "OSUT"
            if is_text and place != IDS:
                known = classes if place.startswith(CLASSES) else ()
                begun = {name: code for code, name in enumerate(known)}
                codes, all_codes = labels.setdefault(place, (begun, np.empty(count, dtype=np.int32)))
                all_codes[start:stop] = [codes.setdefault(text, len(codes)) if text else -1 for text in values.tolist()]
                continue
            if place not in file:
                dtype = h5py.string_dtype() if is_text else values.dtype
                array = file.create_dataset(place, (count, *values.shape[1:]), dtype)
                _encoded(array, "string-array" if is_text else "array")
            file[place][start:stop] = values
    for place, (codes, all_codes) in labels.items():
        names = sorted(codes)  # they were numbered as they came
        rank = np.append(np.argsort(np.argsort([*codes])), -1).astype(np.min_scalar_type(-max(1, len(names))))
        group = file.create_group(place)
        _encoded(group, "categorical", ordered=False)
        _encoded(group.create_dataset("codes", data=rank[all_codes]), "array")
        _encoded(group.create_dataset("categories", data=names, dtype=h5py.string_dtype()), "string-array")
    return places


def _frame(file: h5py.File, places: list[str], provenance: Provenance) -> None:
    """What else AnnData expects in a file."""
    import numpy as np
    import pandas as pd
    from anndata.io import write_elem

    columns = [place.removeprefix("obs/") for place in places if place.startswith("obs/") and place != IDS]
    order = np.array(columns, dtype=object)
    _encoded(file["obs"], "dataframe", **{"_index": IDS.removeprefix("obs/"), "column-order": order})
    _encoded(file["obsm"], "dict")
    write_elem(file, "var", pd.DataFrame(index=[str(i) for i in range(file[X].shape[1])]))
    write_elem(file, "uns", {"omib": {"provenance": provenance.to_json()}})
    for empty in ("layers", "obsp", "varm", "varp"):
        write_elem(file, empty, {})
    _encoded(file, "anndata")


def _encoded(item: Any, kind: str, **more: Any) -> None:
    """Say in which of AnnData's encodings an item of a file is."""
    version = "0.1.0" if kind in ("anndata", "dict") else "0.2.0"
    item.attrs.update({"encoding-type": kind, "encoding-version": version, **more})


def read_embedding(
    path: Path, wanted: Callable[[str], bool] = lambda _place: True
) -> tuple[anndata.AnnData, Provenance]:
    """The embedding as AnnData, and its provenance.

    Parameters
    ----------
    wanted
        Of which places in ``obs`` and ``obsm``, such as ``obsm/output``, to read; X and the ids are always there.

    Raises
    ------
    DataError
        Missing, damaged, or not an embedding of omib's.
    """
    import anndata
    import pandas as pd
    from anndata.io import read_elem

    with open_hdf5(path, fmt.EMBEDDING) as file:
        provenance = read_provenance(file, path)
        try:
            index = text(file["obs"].attrs["_index"])
            columns = [name for name in map(text, file["obs"].attrs["column-order"]) if wanted(f"obs/{name}")]
            obs = pd.DataFrame(
                {name: read_elem(file["obs"][name]) for name in columns}, index=read_elem(file["obs"][index])
            )
            obsm = {name: read_elem(file["obsm"][name]) for name in file["obsm"] if wanted(f"obsm/{name}")}
            return anndata.AnnData(X=read_elem(file[X]), obs=obs, obsm=obsm), provenance
        except (OSError, KeyError, ValueError) as error:
            raise DataError(
                "the embedding is damaged", where=path, got=error, do="omib embed makes it again"
            ) from error


def embedding_digests(file: h5py.File) -> dict[str, tuple[str, tuple[int, ...], str]]:
    """(dtype, shape, digest) of all that an embedding's hash covers, read in blocks.

    Text counts as text, however it is stored.
    """
    found = {}
    for place in (X, *(f"{group}/{name}" for group in ("obs", "obsm") for name in file[group])):
        array = _plain(file[place])
        dtype = "str" if array.dtype.kind == "O" else array.dtype.name
        found["obs/index" if place == IDS else place] = (dtype, tuple(array.shape), digest(array))
    return found


class _Labels:
    """Categories in a file, as the text that they stand for, by rows."""

    def __init__(self, group: h5py.Group) -> None:
        import numpy as np

        self._codes = group["codes"]
        self._names = np.array([*(text(name) for name in group["categories"][:]), ""], dtype=object)  # -1 is none
        self.shape, self.dtype = self._codes.shape, self._names.dtype

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        names: NDArray[Any] = self._names[self._codes[rows]]
        return names


def _plain(item: Any) -> Any:
    """An array in a file, or what text stands for: something with a shape and a dtype that can be cut by rows."""
    import h5py

    if isinstance(item, h5py.Group):
        return _Labels(item)
    return item.asstr() if h5py.check_string_dtype(item.dtype) is not None else item


def write_table(path: Path, out: Path) -> None:
    """The samples' part of an embedding, ids first, as CSV: whole or not at all."""
    from anndata.io import read_elem

    with open_hdf5(path, fmt.EMBEDDING) as file:
        table = read_elem(file["obs"])
    with replacing(out) as temporary:
        table.to_csv(temporary, index_label="id", float_format="%.9g")
