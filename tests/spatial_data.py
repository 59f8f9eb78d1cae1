"""Small sections of tissue in every layout, written as their makers write them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from omib_cli.recipe.schema import Recipe, recipe_model
from omib_cli.sources.spatial.source import SpatialSource

GENES = [f"G{number}" for number in range(30)]
SIDE = 6
PITCH = 20.0


def counts(seed: int = 0, genes: int = len(GENES)) -> np.ndarray:
    """(36, genes) raw counts."""
    return np.random.default_rng(seed).poisson(3.0, size=(SIDE * SIDE, genes))


def array() -> np.ndarray:
    """(36, 2) x and y of a square array, from 2."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()]) + 2


def pixels() -> np.ndarray:
    """(36, 2) x and y in the image."""
    return array() * PITCH


def picture(width: int = 200, height: int = 180) -> np.ndarray:
    """(height, width, 3): red is x, green is y, blue is flat."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = np.arange(width)[None], np.arange(height)[:, None], 77
    return image


def save_picture(path: Path, image: np.ndarray, **options) -> Path:
    """By the name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        import tifffile

        tifffile.imwrite(path, image, photometric="rgb", **{"tile": (64, 64), **options})
    else:
        from PIL import Image

        Image.fromarray(image).save(path, **options)
    return path


def legacy(folder: Path, name: str, seed: int = 0, labels: list[str] | None = None, **changes) -> Path:
    """Counts, spots and labels of one section; ``counts``, ``genes``, ``spots`` and ``positions`` may be replaced."""
    values = changes.get("counts", counts(seed))
    genes = changes.get("genes", GENES[: values.shape[1]])
    names = changes.get("spots", [f"{x}x{y}" for x, y in array()])
    for sub in ("counts", "spots", "labels"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "counts" / f"{name}.tsv.gz", "wt") as file:
        file.write("\t".join(["", *genes]) + "\n")
        file.writelines("\t".join([spot, *map(str, row)]) + "\n" for spot, row in zip(names, values, strict=True))
    positions = changes.get("positions", [(*one, *other) for one, other in zip(array(), pixels(), strict=True)])
    lines = ["x\ty\tnew_x\tnew_y\tpixel_x\tpixel_y\tselected"]
    lines += [f"{x}\t{y}\t{x + 0.02}\t{y - 0.03}\t{px}\t{py}\t1" for x, y, px, py in positions]
    (folder / "spots" / f"{name}_selection.tsv").write_text("\n".join(lines) + "\n")
    if labels is not None:
        lines = ["Row.names\tx\ty\tpixel_x\tpixel_y\tlabel"]
        lines += [f"1x2\t{x + 0.02}\t{y - 0.01}\t9\t9\t{label}" for (x, y), label in zip(array(), labels, strict=True)]
        (folder / "labels" / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def space_ranger(
    folder: Path,
    seed: int = 0,
    *,
    h5: bool = False,
    header: bool = True,
    symbols: list[str] | None = None,
    positions: int | None = None,
    barcodes: int | None = None,
    image: bool = True,
    kinds: list[str] | None = None,
    square: bool = False,
) -> Path:
    """A Space Ranger output; the last spot is outside the tissue in the positions and not in the counts."""
    from scipy.io import mmwrite
    from scipy.sparse import csc_matrix

    values = counts(seed)[:-1]
    names = [f"AAAC{number:04d}-1" for number in range(SIDE * SIDE)]
    symbols = symbols or GENES
    spatial = folder / "spatial"
    spatial.mkdir(parents=True)
    matrix = folder / "filtered_feature_bc_matrix"
    if h5:
        import h5py

        stored = csc_matrix(values.T)
        with h5py.File(f"{matrix}.h5", "w") as file:
            group = file.create_group("matrix")
            for key in ("data", "indices", "indptr"):
                group[key] = getattr(stored, key).astype("int64")
            group["shape"] = np.array(stored.shape)
            group["barcodes"] = np.array(names[:-1], dtype="S")
            features = group.create_group("features")
            features["name"] = np.array(symbols, dtype="S")
            features["id"] = np.array([f"ENSG{number}" for number in range(len(symbols))], dtype="S")
            features["feature_type"] = np.array(["Gene Expression"] * len(symbols), dtype="S")
            features["genome"] = np.array(["h"] * len(symbols), dtype="S")
    else:
        matrix.mkdir()
        with gzip.open(matrix / "matrix.mtx.gz", "wb") as file:
            mmwrite(file, csc_matrix(values.T), field="integer")
        with gzip.open(matrix / "features.tsv.gz", "wt") as file:
            kinds = kinds or ["Gene Expression"] * len(symbols)
            rows = enumerate(zip(symbols, kinds, strict=True))
            file.writelines(f"ENSG{number}\t{symbol}\t{kind}\n" for number, (symbol, kind) in rows)
        with gzip.open(matrix / "barcodes.tsv.gz", "wt") as file:
            file.writelines(f"{name}\n" for name in names[: barcodes or -1])
    # Odd rows of the hexagonal array stand half a pitch to the right.
    lines = ["barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres"] if header else []
    for number, (row, column) in enumerate((array() - 2).tolist()[:positions]):
        inside = int(number < SIDE * SIDE - 1)
        y, x = 60 + row * PITCH * 3**0.5 / 2, 60 + (2 * column + row % 2) * PITCH / 2
        place = 2 * column + row % 2
        if square:  # as in Visium HD
            y, x, place = 60 + row * PITCH, 60 + column * PITCH, column
        lines.append(f"{names[number]},{inside},{row},{place},{y},{x}")
    name = "tissue_positions.csv" if header else "tissue_positions_list.csv"
    (spatial / name).write_text("\n".join(lines) + "\n")
    if image:
        save_picture(spatial / "tissue_hires_image.png", picture())
        (spatial / "scalefactors_json.json").write_text(json.dumps({"tissue_hires_scalef": 0.5}))
    return folder


def h5ad(path: Path, seed: int = 0, **changes) -> Path:
    """An AnnData file with counts in X, its image in ``uns`` and labels in ``obs``.

    ``counts``, ``var_names``, ``symbols``, ``positions``, ``libraries`` (pixels and scale by name) may be replaced,
    columns added to ``obs``.
    """
    import anndata
    import pandas as pd

    values = changes.get("counts", counts(seed)).astype(np.float32)
    obs = pd.DataFrame({"region": ["in", "out"] * (len(values) // 2)}, index=[f"c{i}" for i in range(len(values))])
    for column, cells in changes.get("obs", {}).items():
        obs[column] = list(cells)
    names = changes.get("var_names", [f"ENSG{i}" for i in range(len(GENES))])
    var = pd.DataFrame({"feature_name": changes.get("symbols", GENES)}, index=names)
    data = anndata.AnnData(values, obs=obs, var=var)
    data.obsm["spatial"] = np.asarray(changes.get("positions", pixels()), dtype=float)
    libraries = changes.get("libraries", {"lib": (picture() / np.float32(255), 1.0)})
    data.uns["spatial"] = {"is_single": True} | {
        name: {"images": {"hires": image}, "scalefactors": {"tissue_hires_scalef": scale}}
        for name, (image, scale) in libraries.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    data.write_h5ad(path)
    return path


ANOMALOUS = {"file": "labels/{section}.tsv", "anomalous": ["cancer"]}


def recipe(sections: dict, modalities: tuple[str, ...] = ("genes",), task: str = "anomaly", **data) -> Recipe:
    """A recipe for small sections: legacy unless ``files`` says otherwise."""
    expression = {"min_spots": 2, "top_genes": 20}
    return recipe_model().model_validate(
        {
            "name": "tissue",
            "data": {
                "source": "spatial",
                "files": {"layout": "legacy"},
                "sections": sections,
                "expression": expression,
                **data,
            },
            "modalities": {name: {} for name in modalities},
            "task": {"kind": task},
        }
    )


def source(folder: Path, *arguments, **options) -> SpatialSource:
    """The source of :func:`recipe`."""
    return SpatialSource(recipe(*arguments, **options), folder)
