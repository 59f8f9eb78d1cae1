"""A section of tissue as it is read, whatever the layout of its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import is_missing
from omib_cli.sources.sheets import counted, not_there

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from omib_cli.recipe.sources.spatial import LayoutOptions


@dataclass
class Picture:
    """A histology image that is not read yet.

    Attributes
    ----------
    source
        The file, or the pixels as they stand in another file (see :func:`~omib_cli.sources.pixels.rgb`).
    where
        Its name in messages.
    scale
        Pixels of this image for each pixel of the frame of the positions; None where ``full_width`` says it.
    full_width
        Width in pixels of the frame of the positions.
    """

    source: Path | NDArray[Any]
    where: str
    scale: float | None = 1.0
    full_width: int | None = None


@dataclass
class TissueSection:
    """Counts and positions of one section's spots.

    Attributes
    ----------
    where
        The file of the counts, as the recipe names it.
    spots
        N names.
    genes
        G unique names.
    counts
        (N, G) raw counts, float32.
    positions
        (N, 2) x and y in pixels of the frame of the positions.
    pitch
        Distance of neighbouring spots in pixels of the frame of the positions.
    files
        The files that were read, by name.
    picture
        The image, or None.
    obs
        Columns of text beside the spots that came in the same file.
    """

    name: str
    where: str
    spots: list[str]
    genes: list[str]
    counts: csr_matrix
    positions: NDArray[np.float64]
    pitch: float
    files: dict[str, Path]
    picture: Picture | None = None
    obs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def must_be_counts(values: Any, where: str, genes: Sequence[str]) -> None:
    """Refuse what are no raw counts: the stored values of a sparse matrix (N, G) in CSR form.

    Raises
    ------
    DataError
        Negative, fractional, missing or infinite values, with the first of them.
    """
    import numpy as np

    data = values.data
    for what, bad in (
        ("missing or infinite", ~np.isfinite(data)),
        ("negative", data < 0),
        ("fractional", data != np.floor(data)),
    ):
        if bad.any():
            place = int(np.argmax(bad))
            row = int(np.searchsorted(values.indptr, place, side="right")) - 1
            raise DataError(
                f"{counted(int(bad.sum()), 'value')} {what}, where raw counts are needed",
                where=f"{where}, spot {row + 1}, gene {genes[int(values.indices[place])]!r}",
                got=data[place],
                expected="whole numbers, 0 or more",
                do="give the counts before normalisation (h5ad: name the layer that holds them, `layer`)",
            )


def must_be_unique(names: Sequence[str], what: str, where: str, do: str) -> None:
    """Refuse names that occur twice, naming them."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{counted(len(twice), f'{what} name')} more than once", where=where, got=listed(map(repr, twice)), do=do
        )


def with_symbols(
    counts: csr_matrix, ids: Sequence[str], symbols: Sequence[str], where: str, warnings: list[str]
) -> tuple[csr_matrix, list[str]]:
    """Counts under the symbols of their genes: (N, G') and G' names.

    Genes without a symbol are left out, by name: added up they would be one gene that there is not.

    Parameters
    ----------
    ids, symbols
        G names each, as the file writes them.
    warnings
        Receives what was left out or added up.

    Raises
    ------
    DataError
        Not one symbol.
    """
    import numpy as np

    known = [not is_missing(symbol) for symbol in symbols]
    nameless = [one for one, there in zip(ids, known, strict=True) if not there]
    if nameless:
        if len(nameless) == len(ids):
            raise DataError("no gene has a symbol", where=where, got=listed(map(repr, dict.fromkeys(symbols))))
        warnings.append(f"{where}: {counted(len(nameless), 'gene')} without a symbol: left out: {listed(nameless)}")
        counts, symbols = counts[:, np.array(known)], [one for one in symbols if not is_missing(one)]
    counts, names, repeated = summed(counts, symbols)
    warnings += [f"{where}: the ids of {counted(repeated, 'symbol')} are added up"] if repeated else []
    return counts, names


def summed(counts: csr_matrix, genes: Sequence[str]) -> tuple[csr_matrix, list[str], int]:
    """Counts of genes with one symbol added up: (N, G') and G' names in order of first occurrence.

    A symbol names several Ensembl ids where annotation is ambiguous; their sum is the only choice that does not depend
    on the order of rows, and so means the same in every section.

    Returns
    -------
    The counts, the names, and how many symbols had several ids.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    place: dict[str, int] = {}
    target = np.array([place.setdefault(gene, len(place)) for gene in genes])
    if len(place) == len(genes):
        return counts, list(genes), 0
    ones = np.ones(len(genes), dtype=np.float32)
    merge = csr_matrix((ones, (np.arange(len(genes)), target)), shape=(len(genes), len(place)))
    repeated = sum(count > 1 for count in Counter(genes).values())
    return csr_matrix(counts @ merge), list(place), repeated


def positioned(
    spots: Sequence[str], known: Sequence[str], where: str, positions_where: str, do: str
) -> NDArray[np.int64]:
    """Row of each spot (N,) in the table of positions.

    Raises
    ------
    DataError
        Spots that the table does not have.
    """
    import numpy as np

    row = {name: index for index, name in enumerate(known)}
    lost = [name for name in spots if name not in row]
    if lost:
        raise DataError(
            f"{counted(len(lost), 'spot')} of the counts without a position",
            where=positions_where,
            got=f"{len(spots)} spots in {where}, {len(known)} positions; without: {listed(lost)}",
            expected="a position for every spot",
            do=do,
        )
    return np.array([row[name] for name in spots], dtype=np.int64)


def existing(folder: Path, name: str, what: str) -> Path:
    """The file ``name`` in ``folder``, compressed or not; names its neighbours where it is not there."""
    path = folder / name
    if not path.exists():
        twin = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
        if twin.exists():
            return twin
        beside = sorted(one.name for one in path.parent.iterdir()) if path.parent.is_dir() else []
        error = not_there(what, path.name, beside, str(path.parent))
        error.do = error.do or "look at `data.files` in the recipe, and at the folder given with --input"
        raise error
    return path


def is_there(folder: Path, name: str) -> bool:
    """Whether :func:`existing` finds the file."""
    try:
        existing(folder, name, "file")
    except DataError:
        return False
    return True


def named_picture(options: LayoutOptions, section: str, folder: Path) -> Picture | None:
    """The image that the recipe names, at full resolution unless it says otherwise; None for ``none``."""
    if options.image is None or options.image == "none":
        return None
    where = options.image.replace("{section}", section)
    scale = 1.0 if options.full_width is None else None
    return Picture(existing(folder, where, "image"), where, scale, options.full_width)


def flags(values: Sequence[str], column: str, where: str) -> NDArray[np.bool_]:
    """A column of yes and no (N,), such as `in_tissue`, in any of the ways of writing it.

    Raises
    ------
    DataError
        Values that are neither; no spot with a yes.
    """
    import numpy as np

    meaning = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
    odd = [value for value in values if value.casefold() not in meaning]
    if odd:
        raise DataError(
            f"{counted(len(odd), 'spot')} of which {column!r} does not say yes or no",
            where=where,
            got=listed(map(repr, dict.fromkeys(odd))),
            expected="1 or 0, True or False",
        )
    found = np.array([meaning[value.casefold()] for value in values], dtype=bool)
    if not found.any():
        raise DataError(f"no spot with {column!r} 1", where=where, got=f"0 in all {len(found)} spots")
    return found
