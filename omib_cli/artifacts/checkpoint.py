"""``warmup.safetensors`` and ``model.safetensors``: weights and everything needed to use them, without pickle.

A model carries, beside its weights, what the data that it was trained on were prepared with, what its encodings
of them are like and how far its predictions may be trusted (names that begin with one of ``format.CARRIED``): samples
of another place need nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.files import SAFETENSORS, must_exist, replacing, signature
from omib_cli.artifacts.hashing import described
from omib_cli.artifacts.provenance import Provenance
from omib_cli.distributed import processes
from omib_cli.errors import DataError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_HEADER = "omib"


def write_checkpoint(
    out: Path,
    weights: Mapping[str, torch.Tensor],
    provenance: Provenance,
    carried: Mapping[str, NDArray[Any]] | None = None,
) -> Provenance:
    """Write weights by name, whole or not at all; ``provenance`` says what network they belong to.

    Of several processes, which have the same weights, the first one writes; the others wait for it.

    Parameters
    ----------
    carried
        Arrays that go with the weights, by names that begin as ``format.CARRIED`` says.
    """
    import torch
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    tensors |= {name: torch.from_numpy(value).contiguous() for name, value in (carried or {}).items()}
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
    tensors, provenance = read_tensors(path, kind)
    return {name: value for name, value in tensors.items() if not name.startswith(fmt.CARRIED)}, provenance


def read_tensors(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], Provenance]:
    """All that a checkpoint holds, as :func:`read_checkpoint`: weights, and what is carried beside them."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    provenance = _of_kind(path, kind)
    try:
        return load_file(path), provenance
    except (SafetensorError, OSError) as error:
        raise DataError("the checkpoint is damaged", where=path, got=error, do="train again") from error


def read_carried(path: Path) -> tuple[dict[str, NDArray[Any]], Provenance]:
    """What a model carries beside its weights, by name, and its provenance; without torch.

    Raises
    ------
    DataError
        Missing, damaged, or no model.
    """
    from safetensors import SafetensorError, safe_open

    provenance = _of_kind(path, fmt.MODEL)
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys() if name.startswith(fmt.CARRIED)}, provenance  # noqa: SIM118 (it has no other way)
    except (SafetensorError, OSError) as error:
        raise DataError("the checkpoint is damaged", where=path, got=error, do="train again") from error


def _of_kind(path: Path, kind: str) -> Provenance:
    """The provenance of a checkpoint that has to be of some kind."""
    provenance = read_header(path)
    if provenance.kind != kind:
        raise DataError(
            "the wrong kind of file", where=path, got=provenance.kind, expected=kind, do=f"omib inspect {path}"
        )
    return provenance


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
