"""What other libraries are told by the environment, which they read when they are imported: before any of them is."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path


def prepare_libraries(threads: int | None = None) -> None:
    """Let HDF5 take no locks, threads wait asleep, numba keep what it compiles where it can write.

    What the user has set stays. Torch's threads would wait for one another awake: on processors that others use too,
    two of them took six times the time of one for a network of some hundred columns. numpy's and scipy's linear algebra
    gets the threads of the command, for the same reason: torch's setting is not theirs.

    Artifacts are never written again once they are there, so that nobody needs HDF5's locks; many network file systems
    have none, and anndata and mudata offer no way to do without.
    """
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads is not None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
    if "NUMBA_CACHE_DIR" not in os.environ and not _numba_can_write():
        with suppress(OSError):  # no folder for temporary files either
            os.environ["NUMBA_CACHE_DIR"] = _until_exit("omib-numba-")


def _numba_can_write() -> bool:
    """Whether there is a place for numba's cache: beside the code that scanpy and umap have compiled, or the user's.

    Without one, importing them fails.
    """
    spec = find_spec("scanpy")
    places = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
    if home := os.environ.get("HOME"):
        places.append(Path(os.environ.get("XDG_CACHE_HOME") or Path(home, ".cache")))
    return any(map(_is_writable, places))


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself where it is still to be made.

    By trying: permissions say nothing of a file system that is read-only, or none.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError:
        return False
    return True


def _until_exit(prefix: str) -> str:
    """A new folder that goes with the program: one that others could foresee, they could fill."""
    folder = tempfile.mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
