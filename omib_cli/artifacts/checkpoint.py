"""``warmup.safetensors`` and ``model.safetensors``: weights and everything needed to use them, without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.artifacts.files import SAFETENSORS, must_exist, replacing, signature
from omib_cli.artifacts.hashing import described
from omib_cli.artifacts.provenance import Provenance
from omib_cli.distributed import processes
from omib_cli.errors import DataError

if TYPE_CHECKING:
    import torch

_HEADER = "omib"


def write_checkpoint(out: Path, weights: Mapping[str, torch.Tensor], provenance: Provenance) -> Provenance:
    """Write weights by name, whole or not at all; ``provenance`` says what network they belong to.

    Of several processes, which have the same weights, the first one writes; the others wait for it.
    """
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    provenance.seal({name: described(value.numpy()) for name, value in tensors.items()})
    if processes.is_rank_zero():
        with replacing(out) as temporary:
            save_file(tensors, temporary, metadata={_HEADER: provenance.to_json()})
    processes.barrier()
    return provenance


def read_checkpoint(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], Provenance]:
    """Weights by name, on the CPU, and their provenance.

    Raises
    ------
    DataError
        Missing, damaged, or another kind of file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    provenance = read_header(path)
    if provenance.kind != kind:
        raise DataError(
            "the wrong kind of file", where=path, got=provenance.kind, expected=kind, do=f"omib inspect {path}"
        )
    try:
        return load_file(path), provenance
    except (SafetensorError, OSError) as error:
        raise DataError("the checkpoint is damaged", where=path, got=error, do="train again") from error


def read_header(path: Path) -> Provenance:
    """The provenance of a checkpoint, without reading its weights (and without torch)."""
    from safetensors import SafetensorError, safe_open

    must_exist(path, "checkpoint")
    expected = "a .safetensors file written by omib"
    if (looks := signature(path)) != SAFETENSORS:
        raise DataError("not a readable checkpoint", where=path, got=looks, expected=expected)
    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise DataError("not a readable checkpoint", where=path, got=error, expected=expected) from error
    if _HEADER not in header:
        raise DataError("a safetensors file that omib did not write", where=path, expected="warmup or model checkpoint")
    return Provenance.from_json(header[_HEADER], path)
