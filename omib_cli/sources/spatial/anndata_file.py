"""AnnData files with positions in ``obsm`` and, where there is one, the image in ``uns["spatial"]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import as_text
from omib_cli.sources.sheets import counted, not_there
from omib_cli.sources.spatial.section import (
    Picture,
    TissueSection,
    existing,
    flags,
    must_be_counts,
    must_be_unique,
    named_picture,
    with_symbols,
)
from omib_cli.sources.spatial.spacing import spot_pitch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.spatial import H5adOptions

LIBRARY = "library_id"
"""The column of ``obs`` in which scanpy and squidpy say which slide a spot is of."""


def read_anndata(options: H5adOptions, name: str, folder: Path) -> TissueSection:
    """Read a section; spots with ``obs["in_tissue"]`` 0 are left out.

    Raises
    ------
    DataError
        No such file, layer, column or positions; counts that are none; names that occur twice.
    """
    import anndata
    import numpy as np
    from scipy.sparse import csr_matrix

    where = options.file.replace("{section}", name)
    path = existing(folder, where, "h5ad file")
    try:
        data = anndata.read_h5ad(path)
    except Exception as error:  # h5py and anndata raise whatever their parts raise on a damaged file
        raise DataError("no AnnData file", where=where, got=str(error).partition("\n")[0]) from error
    must_be_unique(data.obs_names.tolist(), "spot", where, "adata.obs_names_make_unique()")
    values, var = _counts(data, options.layer, where)
    counts = csr_matrix(values, dtype=np.float32)
    genes = var.index.astype(str).tolist()
    must_be_counts(counts, where, genes)
    warnings: list[str] = []
    if options.genes is None:
        must_be_unique(genes, "gene", where, "name a column of unique names with `genes`, or add up the copies")
    elif options.genes not in var:
        raise not_there("column of var", options.genes, [str(column) for column in var.columns], where)
    symbols = genes if options.genes is None else [as_text(symbol) for symbol in var[options.genes]]
    counts, genes = with_symbols(counts, genes, symbols, where, warnings)
    positions = _positions(data, options.positions, where)
    everywhere = np.ones(data.n_obs, dtype=bool)
    inside = "in_tissue" in data.obs
    tissue = flags([as_text(one) for one in data.obs["in_tissue"]], "in_tissue", where) if inside else everywhere
    if not tissue.all():
        warnings.append(f"{where}: {counted(int((~tissue).sum()), 'spot')} outside the tissue: left out")
    obs = {str(column): [as_text(value) for value in data.obs[column][tissue]] for column in data.obs}
    spots = data.obs_names[tissue].tolist()
    positions = positions[tissue]
    pitch = spot_pitch(positions, _array(obs, where), where)
    section = TissueSection(
        name, where, spots, genes, counts[tissue], positions, pitch, {where: path}, None, obs, warnings
    )
    section.picture = _picture(options, folder, section, data)
    if section.picture is not None and isinstance(section.picture.source, Path):
        section.files[section.picture.where] = section.picture.source
    return section


def _counts(data: Any, layer: str | None, where: str) -> tuple[Any, Any]:
    """The matrix of counts and the table of its genes."""
    if layer is None and data.X is not None:
        return data.X, data.var
    if layer == "raw" and data.raw is not None:
        return data.raw.X, data.raw.var
    if layer in data.layers:
        return data.layers[layer], data.var
    known = [*data.layers, *(["raw"] if data.raw is not None else [])]
    raise not_there("layer of counts", layer or "X", known, where)


def _positions(data: Any, key: str, where: str) -> NDArray[np.float64]:
    import numpy as np

    if key not in data.obsm:
        raise not_there("array of positions in obsm", key, list(data.obsm), where)
    positions = np.asarray(data.obsm[key], dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or not np.isfinite(positions).all():
        raise DataError(
            "no positions", where=f"{where}:/obsm/{key}", got=f"shape {positions.shape}", expected="finite (N, 2)"
        )
    return positions


def _array(obs: Mapping[str, Sequence[str]], where: str) -> NDArray[np.float64] | None:
    """Rows and columns of the spots (N, 2) in their array, or None."""
    import numpy as np

    if not {"array_row", "array_col"} <= set(obs):
        return None
    try:
        array = np.array([obs["array_row"], obs["array_col"]], dtype=np.float64).T
    except ValueError as error:
        raise DataError("array_row or array_col is no number", where=where, got=error) from error
    if not np.isfinite(array).all():
        raise DataError("spots without array_row or array_col", where=where, do="fill them in, or remove both columns")
    return array


def _picture(options: H5adOptions, folder: Path, section: TissueSection, data: Any) -> Picture | None:
    """The image that the recipe names, or the largest in ``uns["spatial"]``."""
    import numpy as np

    if options.image is not None:
        return named_picture(options, section.name, folder)
    library = _library(data, section)
    for size in ("fullres", "hires", "lowres"):
        pixels = library.get("images", {}).get(size)
        scale = 1.0 if size == "fullres" else library.get("scalefactors", {}).get(f"tissue_{size}_scalef")
        if pixels is not None and scale is not None:
            if not 0 < float(scale) < np.inf:
                raise DataError("a scale factor that is not positive", where=section.where, got=f"{size}: {scale}")
            return Picture(np.asarray(pixels), f"{section.where}:/uns/spatial", float(scale))
    return None


def _library(data: Any, section: TissueSection) -> Mapping[str, Any]:
    """The images of this section's slide: the only ones, or those that bear the name of its library or its own.

    Raises
    ------
    DataError
        Spots of several slides; several slides' images and no name that tells them apart.
    """
    spatial = data.uns.get("spatial", {})
    entries = {str(name): one for name, one in spatial.items()} if hasattr(spatial, "items") else {}
    libraries = {name: one for name, one in entries.items() if hasattr(one, "get")}
    named = sorted(set(section.obs.get(LIBRARY, [])))
    own = [name for name in (named or [section.name]) if name in libraries]
    if len(named) > 1 or (libraries and not own and (named or len(libraries) > 1)):
        raise DataError(
            "which slide's image is the section's?",
            where=f"{section.where}:/uns/spatial, section {section.name}",
            got=f"images of {listed(libraries)}; {LIBRARY} {listed(named) or 'is no column of obs'}",
            expected="spots of one slide, and its image by the name in obs, or by the section's",
            do="give each section a file of its own, name its image with `image`, or say `image: none`",
        )
    return cast("Mapping[str, Any]", libraries[own[0]] if own else next(iter(libraries.values()), {}))
