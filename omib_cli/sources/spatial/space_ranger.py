"""Space Ranger's output: a matrix as folder or .h5 file, and ``spatial/`` with positions, scale factors, images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.errors import DataError
from omib_cli.sources.sheets import counted, not_there
from omib_cli.sources.spatial.section import (
    Picture,
    TissueSection,
    existing,
    grid_pitch,
    must_be_counts,
    must_be_unique,
    nearest_pitch,
    positioned,
    summed,
)
from omib_cli.sources.text_tables import reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from omib_cli.recipe.sources.spatial import SpaceRangerOptions

MATRIX = "filtered_feature_bc_matrix"
GENES = "Gene Expression"
POSITIONS = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
HEXAGON = 3**0.5 / 4  # area of a unit of Visium's array coordinates in squares of the spot pitch


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
    barcodes, genes, counts, files = _read_matrix(matrix, counts_where)
    must_be_unique(barcodes, "barcode", counts_where, "give the matrix of one section")
    must_be_counts(counts, counts_where, genes)
    counts, genes, repeated = summed(counts, genes)
    table_file = _positions_file(folder)
    table_where = _where(table_file, root)
    known, numbers = _read_positions(table_file, table_where)
    rows = positioned(barcodes, known, counts_where, table_where, "give the `spatial` folder of the same section")
    tissue = numbers[rows, 0] == 1
    rows = rows[tissue]
    warnings = [f"{counts_where}: the ids of {counted(repeated, 'symbol')} are added up"] if repeated else []
    if not tissue.all():
        warnings.append(f"{counts_where}: {counted(int((~tissue).sum()), 'spot')} outside the tissue: left out")
    if (without := int((numbers[:, 0] == 1).sum()) - len(rows)) > 0:
        warnings.append(f"{table_where}: {counted(without, 'spot')} in the tissue without counts: left out")
    array, positions = numbers[rows, 1:3], numbers[rows, 4:2:-1]
    section = TissueSection(
        name,
        counts_where,
        [barcode for barcode, inside in zip(barcodes, tissue, strict=True) if inside],
        genes,
        counts[tissue],
        positions,
        array,
        grid_pitch(positions, array, HEXAGON) if len(rows) > 5 else nearest_pitch(positions),
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


def _read_matrix(path: Path, where: str) -> tuple[list[str], list[str], csr_matrix, list[Path]]:
    """N barcodes, G symbols of genes (other features are left out), (N, G) counts, and the files."""
    import numpy as np
    from scipy.sparse import csr_matrix

    barcodes, symbols, kinds, matrix, files = _read_folder(path, where) if path.is_dir() else _read_h5(path, where)
    if matrix.shape != (len(barcodes), len(symbols)):
        raise DataError(
            "the matrix does not fit its barcodes and features",
            where=where,
            got=f"{matrix.shape[0]} spots and {matrix.shape[1]} features in the matrix, "
            f"{len(barcodes)} barcodes, {len(symbols)} features",
            expected="equal numbers",
            do="copy the whole folder of one section again",
        )
    genes = np.array([kind == GENES for kind in kinds], dtype=bool)
    if not genes.any():
        raise DataError(f"no feature of type {GENES!r}", where=where, got=", ".join(sorted(set(kinds))) or "none")
    names = [symbol for symbol, chosen in zip(symbols, genes, strict=True) if chosen]
    return barcodes, names, csr_matrix(matrix[:, genes], dtype=np.float32), files


def _read_folder(path: Path, where: str) -> tuple[list[str], list[str], list[str], csr_matrix, list[Path]]:
    """Matrix Market layout, gzipped (``features.tsv.gz``) or of older versions (``genes.tsv``)."""
    import pandas as pd
    from scipy.io import mmread
    from scipy.sparse import csr_matrix

    old = (path / "genes.tsv").exists() or (path / "genes.tsv.gz").exists()
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
    symbols = table[min(1, table.shape[1] - 1)].tolist()
    kinds = table[2].tolist() if table.shape[1] > 2 else [GENES] * len(symbols)
    return names, symbols, kinds, counts, [matrix, features, barcodes]


def _read_h5(path: Path, where: str) -> tuple[list[str], list[str], list[str], csr_matrix, list[Path]]:
    """10x HDF5 of any version."""
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
    count = data.n_vars
    kinds = data.var["feature_types"].astype(str).tolist() if "feature_types" in data.var else [GENES] * count
    return data.obs_names.tolist(), data.var_names.tolist(), kinds, csr_matrix(data.X), [path]


def _positions_file(folder: Path) -> Path:
    names = ("tissue_positions.csv", "tissue_positions_list.csv")
    found = [folder / "spatial" / name for name in names if (folder / "spatial" / name).exists()]
    return found[0] if found else existing(folder, f"spatial/{names[0]}", "file of positions")


def _read_positions(path: Path, where: str) -> tuple[list[str], NDArray[np.float64]]:
    """Barcodes (P) and in_tissue, array row, array column, pixel row, pixel column (P, 5), with or without header."""
    import numpy as np
    import pandas as pd

    with reading(where):
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline().startswith("barcode,")
        frame = pd.read_csv(path, header=0 if header else None)
    if frame.shape[1] != len(POSITIONS):
        raise DataError(
            "no table of positions", where=where, got=f"{frame.shape[1]} columns", expected=", ".join(POSITIONS)
        )
    if header and list(frame.columns) != POSITIONS:
        lacking = [column for column in POSITIONS if column not in frame.columns]
        if lacking:
            raise not_there("column", lacking[0], list(frame.columns), where)
        frame = frame[POSITIONS]
    numbers = frame.iloc[:, 1:].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    if np.isnan(numbers).any():
        row = int(np.argmax(np.isnan(numbers).any(axis=1)))
        raise DataError("a position that is no number", where=f"{where}, row {row + 1}", got=list(frame.iloc[row]))
    known = [str(barcode) for barcode in frame.iloc[:, 0]]
    must_be_unique(known, "barcode", where, "remove the copies")
    return known, numbers


def _picture(options: SpaceRangerOptions, name: str, root: Path, folder: Path) -> Picture | None:
    """The image that the recipe names, at full resolution unless it says otherwise, or else Space Ranger's largest."""
    if options.image is not None:
        image_where = options.image.replace("{section}", name)
        scale = 1.0 if options.full_width is None else None
        return Picture(existing(root, image_where, "image"), image_where, scale, options.full_width)
    for size in ("hires", "lowres"):
        for suffix in ("png", "jpg", "jpeg", "tif", "tiff"):
            image = folder / "spatial" / f"tissue_{size}_image.{suffix}"
            if image.exists():
                return Picture(image, _where(image, root), _scale(folder, root, f"tissue_{size}_scalef"))
    return None


def _scale(folder: Path, root: Path, key: str) -> float:
    path = existing(folder, "spatial/scalefactors_json.json", "file of scale factors")
    place = _where(path, root)
    try:
        factors = json.loads(path.read_text(encoding="utf-8"))
        scale = float(factors[key])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError("no scale factor of the image", where=place, got=error, expected=f"{key!r}") from error
    if not scale > 0:
        raise DataError("a scale factor that is not positive", where=f"{place}, {key}", got=scale)
    return scale
