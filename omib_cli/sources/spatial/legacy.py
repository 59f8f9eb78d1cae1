"""Legacy Spatial Transcriptomics: counts as text with spots ``XxY`` in rows, and a file of positions."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed
from omib_cli.sources.rows import must_be_there
from omib_cli.sources.sheets import counted, not_there
from omib_cli.sources.spatial.section import (
    TissueSection,
    existing,
    flags,
    must_be_counts,
    must_be_unique,
    named_picture,
    positioned,
)
from omib_cli.sources.spatial.spacing import spot_pitch
from omib_cli.sources.text_tables import ENCODING, open_text, read_text, reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from omib_cli.recipe.sources.spatial import LegacyOptions

COLUMNS = ("x", "y", "pixel_x", "pixel_y")
SELECTED = "selected"
"""The column, where there is one, that says which spots are under the tissue."""


def read_legacy(options: LegacyOptions, name: str, folder: Path) -> TissueSection:
    """Read a section; spots that are not selected, or have no counts, are left out.

    Raises
    ------
    DataError
        Files missing or damaged, counts that are none, gene names twice, spots without a position.
    """
    where, spots_where = (text.replace("{section}", name) for text in (options.counts, options.spots))
    counts_file, spots_file = existing(folder, where, "file of counts"), existing(folder, spots_where, "spot file")
    spots, genes, counts = _read_counts(counts_file, where)
    warnings: list[str] = []
    known, inside, table = _read_spots(spots_file, spots_where, warnings)
    rows = positioned(spots, known, where, spots_where, "give the spot file of the same section")
    if len(known) > len(spots):
        warnings.append(f"{counted(len(known) - len(spots), 'spot')} of {spots_where} without counts: left out")
    kept = inside[rows]
    if not kept.all():
        warnings.append(f"{where}: {counted(int((~kept).sum()), 'spot')} not selected in {spots_where}: left out")
        spots = [spot for spot, there in zip(spots, kept.tolist(), strict=True) if there]
    array, positions = table[rows[kept], :2], table[rows[kept], 2:]
    pitch = spot_pitch(positions, array, spots_where)
    files = {where: counts_file, spots_where: spots_file}
    section = TissueSection(name, where, spots, genes, counts[kept], positions, pitch, files, warnings=warnings)
    section.picture = named_picture(options, name, folder)
    if section.picture is not None and isinstance(section.picture.source, Path):
        section.files[section.picture.where] = section.picture.source
    return section


def spot_names(array: NDArray[np.float64]) -> list[str]:
    """Names ``XxY`` of spots from their array coordinates (N, 2), rounded."""
    import numpy as np

    return [f"{x:.0f}x{y:.0f}" for x, y in np.rint(array).tolist()]


def _read_spots(
    path: Path, where: str, warnings: list[str]
) -> tuple[list[str], NDArray[np.bool_], NDArray[np.float64]]:
    """Names of the spots (P), which are selected (P,), and array x and y, pixel x and y (P, 4)."""
    import numpy as np

    sheet = read_text(path, where, header=True, text_columns=[SELECTED], warnings=warnings)
    lacking = [column for column in COLUMNS if column not in sheet.names]
    if lacking:
        raise not_there("column", lacking[0], sheet.names, where)
    table = sheet.numbers([sheet.names.index(column) for column in COLUMNS])
    if not np.isfinite(table).all():
        row = int(np.argmin(np.isfinite(table).all(axis=1)))
        raise DataError("a spot without a position", where=f"{where}, row {row + 1}", got=table[row].tolist())
    known = spot_names(table[:, :2])
    must_be_unique(known, "spot", where, "remove the copies")
    if SELECTED not in sheet.names:
        return known, np.ones(len(known), dtype=bool), table
    return known, flags(sheet.text(SELECTED), SELECTED, where), table


def _read_counts(path: Path, where: str) -> tuple[list[str], list[str], csr_matrix]:
    """N spots, G genes, (N, G) counts."""
    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix

    with reading(where):
        with open_text(path) as file:  # pandas would rename genes that occur twice without a word
            genes = [gene.strip() for gene in next(csv.reader(file, delimiter="\t"), [])[1:]]
        must_be_there(genes, [f"column {place}" for place in range(2, len(genes) + 2)], "genes without a name", where)
        must_be_unique(genes, "gene", where, "add up or remove the copies in the file")
        frame = pd.read_csv(path, sep="\t", index_col=0, encoding=ENCODING)
    if frame.shape[1] != len(genes) or not genes or frame.empty:
        raise DataError(
            "no table of counts",
            where=where,
            got=f"{len(frame)} rows, {len(genes)} names of genes, {frame.shape[1]} columns",
            expected="spots in rows, genes in columns, separated by tabs, with names of both",
        )
    text = [gene for gene, kind in zip(genes, frame.dtypes, strict=True) if kind.kind not in "iufb"]
    if text:
        raise DataError(
            "counts that are no numbers", where=where, got=f"genes {listed(text)}", expected="whole numbers, 0 or more"
        )
    spots = [str(spot).strip() for spot in frame.index]
    must_be_unique(spots, "spot", where, "remove the copies")
    dense = frame.to_numpy(dtype=np.float32)
    counts = csr_matrix(dense)
    must_be_counts(counts, where, genes)
    return spots, genes, counts
