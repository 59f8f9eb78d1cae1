"""``information.h5``: what each modality holds and shares, in nats, seed by seed, and the bounds on beta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.files import replacing
from omib_cli.artifacts.hashing import described
from omib_cli.artifacts.hdf5 import created_hdf5, open_hdf5, read_provenance, write_provenance
from omib_cli.artifacts.provenance import Provenance
from omib_cli.distributed import processes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Information:
    """An information file in memory.

    Attributes
    ----------
    entropy
        By modality, (seeds,) estimates of I(v_i; v_i) in nats.
    mutual
        By pair of modalities, (seeds,) estimates of I(v_i; v_j) in nats.
    provenance
        ``facts["bounds"]`` holds ``lower``, ``upper`` (by bound name), ``objective`` and the total information.
    """

    entropy: dict[str, NDArray[np.float64]]
    mutual: dict[tuple[str, str], NDArray[np.float64]]
    provenance: Provenance

    @property
    def bounds(self) -> dict[str, Any]:
        """The bounds on beta, as :func:`omib_cli.information.bounds.bounds` gave them."""
        bounds: dict[str, Any] = self.provenance.facts["bounds"]
        return bounds


def write_information(
    out: Path,
    entropy: Mapping[str, NDArray[np.float64]],
    mutual: Mapping[tuple[str, str], NDArray[np.float64]],
    provenance: Provenance,
) -> Provenance:
    """Write the file, whole or not at all; of several processes the first one does, and the others wait."""
    arrays = {f"{fmt.ENTROPY}/{name}": values for name, values in entropy.items()}
    arrays |= {f"{fmt.MUTUAL}/{fmt.PAIR.format(a, b)}": values for (a, b), values in mutual.items()}
    provenance.seal({path: described(array) for path, array in arrays.items()})
    if processes.is_rank_zero():
        with replacing(out) as temporary, created_hdf5(temporary) as file:
            for path, array in arrays.items():
                file[path] = array
            write_provenance(file, provenance)
    processes.barrier()
    return provenance


def read_information(path: Path) -> Information:
    """Read the file.

    Raises
    ------
    DataError
        Missing, damaged, or of another kind.
    """
    with open_hdf5(path, fmt.INFORMATION) as file:
        entropy = {name: file[fmt.ENTROPY][name][:] for name in file[fmt.ENTROPY]}
        pairs = {tuple(name.split("|")): file[fmt.MUTUAL][name][:] for name in file.get(fmt.MUTUAL, ())}
        return Information(entropy, pairs, read_provenance(file, path))
