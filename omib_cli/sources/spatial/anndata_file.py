"""AnnData files with positions in ``obsm`` and, where there is one, the image in ``uns["spatial"]``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError
from omib_cli.sources.cells import as_text
from omib_cli.sources.sheets import counted, not_there
from omib_cli.sources.spatial.section import (
    Picture,
    TissueSection,
    existing,
    grid_pitch,
    must_be_counts,
    must_be_unique,
    nearest_pitch,
    summed,
)
from omib_cli.sources.spatial.space_ranger import HEXAGON

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.spatial import H5adOptions


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
    else:
        if options.genes not in var:
            raise not_there("column of var", options.genes, [str(column) for column in var.columns], where)
        counts, genes, repeated = summed(counts, var[options.genes].astype(str).tolist())
        warnings += [f"{where}: the ids of {counted(repeated, 'symbol')} are added up"] if repeated else []
    positions = _positions(data, options.positions, where)
    tissue = data.obs["in_tissue"].to_numpy() == 1 if "in_tissue" in data.obs else np.ones(data.n_obs, dtype=bool)
    if not tissue.all():
        warnings.append(f"{where}: {counted(int((~tissue).sum()), 'spot')} outside the tissue: left out")
    obs = {str(column): [as_text(value) for value in data.obs[column][tissue]] for column in data.obs}
    spots = data.obs_names[tissue].tolist()
    positions = positions[tissue]
    grid = {"array_row", "array_col"} <= set(data.obs) and len(spots) > 5
    array = data.obs.loc[tissue, ["array_row", "array_col"]].to_numpy(dtype=np.float64) if grid else None
    pitch = nearest_pitch(positions) if array is None else grid_pitch(positions, array, HEXAGON)
    section = TissueSection(
        name, where, spots, genes, counts[tissue], positions, array, pitch, {where: path}, None, obs, warnings
    )
    section.picture = _picture(options, name, folder, where, data)
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


def _picture(options: H5adOptions, name: str, folder: Path, where: str, data: Any) -> Picture | None:
    """The image that the recipe names, or the largest in ``uns["spatial"]``."""
    import numpy as np

    if options.image is not None:
        image_where = options.image.replace("{section}", name)
        scale = 1.0 if options.full_width is None else None
        return Picture(existing(folder, image_where, "image"), image_where, scale, options.full_width)
    for library in _libraries(data):
        for size in ("fullres", "hires", "lowres"):
            pixels = library.get("images", {}).get(size)
            scale = 1.0 if size == "fullres" else library.get("scalefactors", {}).get(f"tissue_{size}_scalef")
            if pixels is None or scale is None:
                continue
            pixels = np.asarray(pixels)[..., :3]
            if pixels.dtype.kind == "f":  # scanpy's reader keeps PNG as fractions of 1
                pixels = np.rint(pixels * (255 if pixels.max() <= 1 else 1))
            return Picture(pixels.astype(np.uint8), f"{where}:/uns/spatial", float(scale))
    return None


def _libraries(data: Any) -> list[Any]:
    spatial = data.uns.get("spatial", {})
    return [library for library in spatial.values() if hasattr(library, "get")] if hasattr(spatial, "values") else []
