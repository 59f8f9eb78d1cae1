"""Content hashes: equal for equal data, weights and recipe, whatever the time, the machine or the interruptions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt

if TYPE_CHECKING:
    from numpy.typing import NDArray


def block_digest(block: NDArray[Any]) -> str:
    """SHA-256 of one block of rows (strings as JSON, numbers as little-endian C-ordered bytes)."""
    import numpy as np

    if block.dtype.kind in "OSUT":
        return hashlib.sha256(json.dumps(block.tolist()).encode()).hexdigest()
    little = np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))
    return hashlib.sha256(little.reshape(-1).view(np.uint8).data if little.size else b"").hexdigest()


def array_digest(blocks: Iterable[str]) -> str:
    """Digest of an array from the digests of its consecutive blocks of :func:`digest_rows` rows."""
    return hashlib.sha256("".join(blocks).encode()).hexdigest()


def digest(array: Any) -> str:
    """Digest of an array, or of anything sliceable by rows such as an HDF5 dataset, a block at a time."""
    rows = digest_rows(array)
    return array_digest(block_digest(array[i : i + rows]) for i in range(0, array.shape[0], rows))


def digest_rows(array: Any) -> int:
    """Rows in each block of an array, or of anything with its shape and dtype."""
    return fmt.block_rows(array.dtype.itemsize * prod(array.shape[1:]))


def content_hash(
    kind: str,
    recipe_hash: str,
    parents: Mapping[str, str],
    arrays: Mapping[str, tuple[str, tuple[int, ...], str]],
    facts: Mapping[str, Any],
) -> str:
    """Hash of an artifact.

    Parameters
    ----------
    kind
        Kind of artifact (``format.DATASET``, ...).
    recipe_hash
        Hash of the recipe's sections that decide this artifact.
    parents
        Content hash of each parent, by kind.
    arrays
        (dtype, shape, digest) of each array, by path.
    facts
        Small values that are part of the content.
    """
    whole = {
        "kind": kind,
        "schema": fmt.SCHEMA,
        "recipe": recipe_hash,
        "parents": dict(sorted(parents.items())),
        "arrays": {path: [dtype, list(shape), value] for path, (dtype, shape, value) in sorted(arrays.items())},
        "facts": facts,
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def described(array: Any) -> tuple[str, tuple[int, ...], str]:
    """(dtype, shape, digest) of an array, or of anything that :func:`digest` takes."""
    dtype = "str" if array.dtype.kind in "OSUT" else array.dtype.name
    return dtype, tuple(array.shape), digest(array if array.shape else array.reshape(1))
