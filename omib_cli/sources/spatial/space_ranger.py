"""Space Ranger's output: a matrix as folder or .h5 file, and ``spatial/`` with positions, scale factors, images."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError, listed
from omib_cli.sources.sheets import counted, not_there
from omib_cli.sources.spatial.section import (
    Picture,
    TissueSection,
    existing,
    flags,
    must_be_counts,
    must_be_unique,
    named_picture,
    positioned,
    with_symbols,
)
from omib_cli.sources.spatial.spacing import spot_pitch
from omib_cli.sources.text_tables import open_text, reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from omib_cli.recipe.sources.spatial import SpaceRangerOptions

MATRIX = "filtered_feature_bc_matrix"
GENES = "Gene Expression"
POSITIONS = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
TABLES = [f"tissue_positions{kind}.csv{end}" for kind in ("", "_list") for end in ("", ".gz")]
FACTORS = "spatial/scalefactors_json.json"
ROUGHLY = 0.1
"""By how much of itself a scale may differ from another that was measured otherwise."""
SCALE = "microns_per_pixel"
"""The scale that Space Ranger itself gives, in versions that do (Visium HD)."""


def read_space_ranger(options: SpaceRangerOptions, name: str, root: Path) -> TissueSection:
    """Read a section; barcodes outside the tissue are left out, counts of genes with one symbol are added up.

    Raises
    ------
    DataError
        Files missing or damaged, arrays of different lengths, counts that are none, spots without a position.
    """
    folder = existing(root, options.folder.replace("{section}", name), "Space Ranger folder")
    matrix = _matrix(folder, options.counts)
    counts_where = _where(matrix, root)
    warnings: list[str] = []
    barcodes, genes, counts, files = _read_matrix(matrix, counts_where, warnings)
    must_be_unique(barcodes, "barcode", counts_where, "give the matrix of one section")
    table_file = _positions_file(folder)
    table_where = _where(table_file, root)
    known, inside, numbers = _read_positions(table_file, table_where)
    rows = positioned(barcodes, known, counts_where, table_where, "give the `spatial` folder of the same section")
    tissue = inside[rows]
    rows = rows[tissue]
    if not tissue.all():
        warnings.append(f"{counts_where}: {counted(int((~tissue).sum()), 'spot')} outside the tissue: left out")
    if (without := int(inside.sum()) - len(rows)) > 0:
        warnings.append(f"{table_where}: {counted(without, 'spot')} in the tissue without counts: left out")
    array, positions = numbers[rows, :2], numbers[rows, :1:-1]
    section = TissueSection(
        name,
        counts_where,
        [barcode for barcode, inside in zip(barcodes, tissue, strict=True) if inside],
        genes,
        counts[tissue],
        positions,
        _pitch(options, folder, root, positions, array),
        {_where(path, root): path for path in (*files, table_file)},
        warnings=warnings,
    )
    section.picture = _picture(options, name, root, folder)
    if section.picture is not None and isinstance(section.picture.source, Path):
        section.files[section.picture.where] = section.picture.source
    return section


def _where(path: Path, root: Path) -> str:
    """A file's name relative to the input."""
    return path.relative_to(root).as_posix()


def _matrix(folder: Path, counts: str | None) -> Path:
    if counts is not None:
        return existing(folder, counts, "matrix of counts")
    found = [path for path in (folder / MATRIX, folder / f"{MATRIX}.h5") if path.exists()]
    return found[0] if found else existing(folder, MATRIX, "matrix of counts")


def _read_matrix(path: Path, where: str, warnings: list[str]) -> tuple[list[str], list[str], csr_matrix, list[Path]]:
    """N barcodes, G symbols of genes (other features are left out), (N, G) counts, and the files."""
    import numpy as np
    from scipy.sparse import csr_matrix

    barcodes, table, matrix, files = _read_folder(path, where) if path.is_dir() else _read_h5(path, where)
    if matrix.shape != (len(barcodes), len(table)):
        raise DataError(
            "the matrix does not fit its barcodes and features",
            where=where,
            got=f"{matrix.shape[0]} spots and {matrix.shape[1]} features in the matrix, "
            f"{len(barcodes)} barcodes, {len(table)} features",
            expected="equal numbers",
            do="copy the whole folder of one section again",
        )
    genes = [place for place, (_, _, kind) in enumerate(table) if kind == GENES]
    others = Counter(kind for _, _, kind in table if kind != GENES)
    shown = ", ".join(f"{count} of type {kind!r}" for kind, count in others.items())
    if not genes:
        raise DataError(f"no feature of type {GENES!r}", where=where, got=shown or "none")
    if others:
        warnings.append(f"{where}: features that are no genes are left out: {shown}")
    counts = csr_matrix(matrix[:, np.array(genes)], dtype=np.float32)
    ids, symbols = [table[place][0] for place in genes], [table[place][1] for place in genes]
    must_be_counts(counts, where, symbols)
    counts, symbols = with_symbols(counts, ids, symbols, where, warnings)
    return barcodes, symbols, counts, files


def _read_folder(path: Path, where: str) -> tuple[list[str], list[tuple[str, ...]], csr_matrix, list[Path]]:
    """Matrix Market layout, gzipped (``features.tsv.gz``) or of older versions (``genes.tsv``).

    Returns
    -------
    Barcodes (N), id, symbol and type of each feature (F), the matrix (N, F), and the files.
    """
    import pandas as pd
    from scipy.io import mmread
    from scipy.sparse import csr_matrix

    old = (path / "genes.tsv").exists() or (path / "genes.tsv.gz").exists()
    if old and ((path / "features.tsv").exists() or (path / "features.tsv.gz").exists()):
        raise DataError("both genes.tsv and features.tsv", where=where, expected="the matrix of one version")
    features = existing(path, "genes.tsv.gz" if old else "features.tsv.gz", "file of features")
    barcodes = existing(path, "barcodes.tsv.gz", "file of barcodes")
    matrix = existing(path, "matrix.mtx.gz", "matrix of counts")
    with reading(f"{where}/{features.name}"):
        table = pd.read_csv(features, sep="\t", header=None, dtype=str, keep_default_na=False)
    with reading(f"{where}/{barcodes.name}"):
        names = pd.read_csv(barcodes, sep="\t", header=None, dtype=str, keep_default_na=False)[0].tolist()
    with reading(f"{where}/{matrix.name}"):
        try:
            counts = csr_matrix(mmread(matrix)).T.tocsr()
        except (ValueError, TypeError) as error:
            raise DataError("no Matrix Market file", where=f"{where}/{matrix.name}", got=error) from error
    ids, symbols = table[0].tolist(), table[min(1, table.shape[1] - 1)].tolist()
    kinds = table[2].tolist() if table.shape[1] > 2 else [GENES] * len(symbols)
    return names, list(zip(ids, symbols, kinds, strict=True)), counts, [matrix, features, barcodes]


def _read_h5(path: Path, where: str) -> tuple[list[str], list[tuple[str, ...]], csr_matrix, list[Path]]:
    """10x HDF5 of any version; returns what :func:`_read_folder` returns."""
    import warnings

    import scanpy as sc
    from scipy.sparse import csr_matrix

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # symbols that occur twice are dealt with later
        try:
            data = sc.read_10x_h5(path, gex_only=False)
        except Exception as error:
            raise DataError(
                "no 10x HDF5 matrix",
                where=where,
                got=str(error).partition("\n")[0] or type(error).__name__,
                do="copy or download the file again",
            ) from error
    symbols = data.var_names.tolist()
    ids = data.var["gene_ids"].astype(str).tolist() if "gene_ids" in data.var else symbols
    kinds = data.var["feature_types"].astype(str).tolist() if "feature_types" in data.var else [GENES] * len(symbols)
    return data.obs_names.tolist(), list(zip(ids, symbols, kinds, strict=True)), csr_matrix(data.X), [path]


def _positions_file(folder: Path) -> Path:
    """One of them, as one version of Space Ranger or the other writes it, compressed or not."""
    found = [path for name in TABLES if (path := folder / "spatial" / name).exists()]
    if len(found) > 1:
        raise DataError(
            "several files of positions",
            where=folder.name,
            got=listed(path.name for path in found),
            expected="one",
            do="remove those that are not of this matrix",
        )
    return found[0] if found else existing(folder, f"spatial/{TABLES[0]}", "file of positions")


def _read_positions(path: Path, where: str) -> tuple[list[str], NDArray[np.bool_], NDArray[np.float64]]:
    """Barcodes (P), in the tissue or not (P,), and array row and column, pixel row and column (P, 4)."""
    import numpy as np
    import pandas as pd

    with reading(where):
        with open_text(path) as file:
            header = next(csv.reader(file), [""])[0].strip() == POSITIONS[0]
        frame = pd.read_csv(path, header=0 if header else None, dtype=str, keep_default_na=False)
    if frame.shape[1] != len(POSITIONS):
        raise DataError(
            "no table of positions", where=where, got=f"{frame.shape[1]} columns", expected=", ".join(POSITIONS)
        )
    if header and list(frame.columns) != POSITIONS:
        lacking = [column for column in POSITIONS if column not in frame.columns]
        if lacking:
            raise not_there("column", lacking[0], list(frame.columns), where)
        frame = frame[POSITIONS]
    numbers = frame.iloc[:, 2:].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.argmin(np.isfinite(numbers).all(axis=1)))
        raise DataError("a position that is no number", where=f"{where}, row {row + 1}", got=list(frame.iloc[row]))
    known = [barcode.strip() for barcode in frame.iloc[:, 0]]
    must_be_unique(known, "barcode", where, "remove the copies")
    return known, flags(frame.iloc[:, 1].str.strip().tolist(), POSITIONS[1], where), numbers


def _picture(options: SpaceRangerOptions, name: str, root: Path, folder: Path) -> Picture | None:
    """The image that the recipe names, at full resolution unless it says otherwise, or else Space Ranger's largest."""
    if options.image is not None:
        return named_picture(options, name, root)
    for size in ("hires", "lowres"):
        for suffix in ("png", "jpg", "jpeg", "tif", "tiff", "png.gz", "jpg.gz"):
            image = folder / "spatial" / f"tissue_{size}_image.{suffix}"
            if image.exists():
                return Picture(image, _where(image, root), _scale(folder, root, f"tissue_{size}_scalef"))
    return None


def _pitch(
    options: SpaceRangerOptions,
    folder: Path,
    root: Path,
    positions: NDArray[np.float64],
    array: NDArray[np.float64],
) -> float:
    """Distance of neighbouring spots in pixels; what the files say of the scale must not contradict ``pitch_um``."""
    path = existing(folder, FACTORS, "") if any((folder / f"{FACTORS}{end}").exists() for end in ("", ".gz")) else None
    pitch = spot_pitch(positions, array, folder.name)
    said = None if path is None else _factors(path, root).get(SCALE)
    if path is not None and isinstance(said, int | float) and abs(options.pitch_um / pitch / said - 1) > ROUGHLY:
        raise DataError(
            "`pitch_um` contradicts the scale that Space Ranger gives",
            where=f"{_where(path, root)}, {SCALE}",
            got=f"{said:g}, and spots {pitch:.4g} pixels apart: {said * pitch:.4g} micrometres",
            expected=f"{options.pitch_um:g}, the recipe's `pitch_um`",
            do=f"set `pitch_um: {said * pitch:.3g}` in data.files",
        )
    return pitch


def _factors(path: Path, root: Path) -> dict[str, Any]:
    """Of the images and of the spots, by name."""
    try:
        with open_text(path) as file:
            found = json.load(file)
        if isinstance(found, dict):
            return found
        error: object = type(found).__name__
    except (ValueError, OSError) as problem:
        error = problem
    raise DataError("no file of scale factors", where=_where(path, root), got=error)


def _scale(folder: Path, root: Path, key: str) -> float:
    path = existing(folder, FACTORS, "file of scale factors")
    place = _where(path, root)
    try:
        scale = float(_factors(path, root)[key])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("no scale factor of the image", where=place, got=error, expected=f"{key!r}") from error
    if not 0 < scale < float("inf"):
        raise DataError("a scale factor that is not positive", where=f"{place}, {key}", got=scale)
    return scale
