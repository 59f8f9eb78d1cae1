"""Legacy Spatial Transcriptomics: counts as text with spots ``XxY`` in rows, and a file of positions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.errors import DataError
from omib_cli.sources.sheets import counted, listed, not_there
from omib_cli.sources.spatial.section import (
    Picture,
    TissueSection,
    existing,
    grid_pitch,
    must_be_counts,
    must_be_unique,
    nearest_pitch,
    positioned,
)
from omib_cli.sources.text_tables import ENCODING, open_text, read_text, reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from omib_cli.recipe.sources.spatial import LegacyOptions

COLUMNS = ("x", "y", "pixel_x", "pixel_y")


def read_legacy(options: LegacyOptions, name: str, folder: Path) -> TissueSection:
    """Read a section; spots of the position file without counts are left out.

    Raises
    ------
    DataError
        Files missing or damaged, counts that are none, gene names twice, spots without a position.
    """
    where, spots_where = (text.replace("{section}", name) for text in (options.counts, options.spots))
    counts_file, spots_file = existing(folder, where, "file of counts"), existing(folder, spots_where, "spot file")
    spots, genes, counts = _read_counts(counts_file, where)
    warnings: list[str] = []
    sheet = read_text(spots_file, spots_where, header=True, text_columns=[], warnings=warnings)
    lacking = [column for column in COLUMNS if column not in sheet.names]
    if lacking:
        raise not_there("column", lacking[0], sheet.names, spots_where)
    table = sheet.numbers([sheet.names.index(column) for column in COLUMNS])
    known = spot_names(table[:, :2])
    must_be_unique(known, "spot", spots_where, "remove the copies")
    rows = positioned(spots, known, where, spots_where, "give the spot file of the same section")
    if len(known) > len(spots):
        warnings.append(f"{counted(len(known) - len(spots), 'spot')} of {spots_where} without counts: left out")
    array, positions = table[rows, :2], table[rows, 2:]
    # Three spots that are not in a line make a grid; a handful more make a reliable one.
    pitch = grid_pitch(positions, array, 1.0) if len(rows) > 5 else nearest_pitch(positions)
    files = {where: counts_file, spots_where: spots_file}
    section = TissueSection(name, where, spots, genes, counts, positions, array, pitch, files, warnings=warnings)
    if options.image is not None:
        image_where = options.image.replace("{section}", name)
        image = existing(folder, image_where, "image")
        scale = 1.0 if options.full_width is None else None
        section.picture = Picture(image, image_where, scale, options.full_width)
        section.files[image_where] = image
    return section


def spot_names(array: NDArray[np.float64]) -> list[str]:
    """Names ``XxY`` of spots from their array coordinates (N, 2), rounded."""
    import numpy as np

    return [f"{x:.0f}x{y:.0f}" for x, y in np.rint(array).tolist()]


def _read_counts(path: Path, where: str) -> tuple[list[str], list[str], csr_matrix]:
    """N spots, G genes, (N, G) counts."""
    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix

    with reading(where):
        with open_text(path) as file:  # pandas would rename genes that occur twice without a word
            genes = [gene.strip() for gene in file.readline().rstrip("\r\n").split("\t")[1:]]
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
