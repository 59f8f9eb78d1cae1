"""``embedding.h5ad``: the embedding as AnnData, ready for scanpy, with predictions and posterior spread beside it.

``X`` (N, k) is xi; ``obs`` holds ids (index), split, label, group, prediction and its uni-modal counterparts;
``obsm`` holds the outputs behind the predictions (class probabilities, or the value) and the posterior's
standard deviations; ``uns["omib"]["provenance"]`` is the artifact's description of itself, as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.files import replacing
from omib_cli.artifacts.hashing import described
from omib_cli.artifacts.hdf5 import open_hdf5, read_provenance, write_provenance
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import DataError
from omib_cli.runtime import processes

if TYPE_CHECKING:
    import anndata
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

OUTPUT = "output"
"""``obsm`` key of the fused prediction's outputs; ``output_<modality>`` of the uni-modal ones."""
POSTERIOR_SD = "posterior_sd"
"""``obsm`` key prefix of the bottlenecks' standard deviations: ``posterior_sd_<modality>`` (N, k)."""
COMPRESSION = "kl"
"""Prefix of the ``obs`` columns of the bottlenecks' divergence from the prior in nats: ``kl_<modality>`` (N,)."""
SPATIAL = "spatial"
"""``obsm`` key of coordinates, where scanpy and squidpy look for them."""


def write_embedding(
    out: Path,
    embedding: NDArray[np.float32],
    obs: pd.DataFrame,
    obsm: Mapping[str, NDArray[Any]],
    provenance: Provenance,
) -> Provenance:
    """Write the embedding (N, k), whole or not at all; arrays may be memory-mapped.

    Of several processes, which have the same arrays, the first one writes; the others wait for it.
    """
    import anndata
    import h5py
    import numpy as np

    # AnnData knows how to write plain arrays only; this is a view, still on the disk where it was memory-mapped.
    embedding, obsm = np.asarray(embedding), {key: np.asarray(array) for key, array in obsm.items()}
    # Columns are hashed as plain values, so that the hash does not depend on how pandas stores text.
    arrays = {"X": embedding, **{f"obsm/{key}": array for key, array in obsm.items()}}
    provenance.seal({key: described(value) for key, value in {**arrays, **_columns(obs)}.items()})
    if processes.is_first():
        data = anndata.AnnData(X=embedding, obs=obs, obsm=obsm)
        data.uns["omib"] = {"provenance": provenance.to_json()}
        with replacing(out) as temporary:
            data.write_h5ad(temporary)
            with h5py.File(temporary, "r+") as file:
                write_provenance(file, provenance)
    processes.wait()
    return provenance


def read_embedding(path: Path) -> tuple[anndata.AnnData, Provenance]:
    """The embedding as AnnData, and its provenance.

    Raises
    ------
    DataError
        Missing, damaged, or not an embedding of omib's.
    """
    import anndata

    with open_hdf5(path, fmt.EMBEDDING) as file:
        provenance = read_provenance(file, path)
    try:
        return anndata.read_h5ad(path), provenance
    except (OSError, KeyError, ValueError) as error:
        raise DataError("the embedding is damaged", where=path, got=error, do="omib embed makes it again") from error


def embedding_digests(data: anndata.AnnData) -> dict[str, tuple[str, tuple[int, ...], str]]:
    """(dtype, shape, digest) of all that the embedding's hash covers."""
    arrays = {"X": data.X, **{f"obsm/{key}": data.obsm[key] for key in data.obsm}}
    return {key: described(value) for key, value in {**arrays, **_columns(data.obs)}.items()}


def _columns(obs: pd.DataFrame) -> dict[str, NDArray[Any]]:
    import numpy as np

    columns = {"obs/index": np.array([str(value) for value in obs.index], dtype=object)}
    for name in obs.columns:
        values = obs[name].to_numpy()
        text = values.dtype.kind not in "biuf"
        columns[f"obs/{name}"] = np.array([str(value) for value in values], dtype=object) if text else values
    return columns
