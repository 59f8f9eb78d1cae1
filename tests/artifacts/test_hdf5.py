"""HDF5 on a disk that refuses to be written to, at whatever byte."""

from __future__ import annotations

import errno
import subprocess
import sys

import h5py
import numpy as np
import pytest
from real import REPOSITORY

from omib_cli.artifacts.hdf5 import Disk, created_hdf5

LIMITED = """
import errno, resource, sys
from pathlib import Path
import numpy as np
from omib_cli.artifacts.hdf5 import created_hdf5

limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with created_hdf5(Path(sys.argv[1])) as file:
        for number in range(4):
            file[f"group/{number}"] = np.arange(5000.0)
            file[f"text/{number}"] = [f"sample-{i}" for i in range(500)]
except OSError as error:
    assert error.errno == errno.EFBIG, error
    sys.exit(3)
"""


@pytest.mark.parametrize("limit", [0, 100, 4096, 30_000, 100_000, 170_000])
def test_a_refused_write_is_the_systems_error_without_a_word_of_hdf5(tmp_path, limit):
    pytest.importorskip("resource")
    arguments = [sys.executable, "-c", LIMITED, str(tmp_path / "file.h5"), str(limit)]
    done = subprocess.run(arguments, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""


def test_the_first_refusal_is_kept_and_nothing_is_written_after_it(tmp_path):
    with Disk(tmp_path / "file", "w+") as disk:
        assert disk.write(b"before") == 6
        disk.refusal = OSError(errno.EDQUOT, "Disk quota exceeded")
        assert disk.write(b"after") == 5
        with pytest.raises(OSError, match="quota"):
            disk.check()
        disk.seek(0)
        buffer = bytearray(8)
        assert disk.readinto(buffer) == 8
        assert bytes(buffer) == b"before\0\0"
    assert (tmp_path / "file").read_bytes() == b"before"


def test_what_is_written_is_what_h5py_reads_by_itself(tmp_path):
    values = np.random.default_rng(0).normal(size=(300, 70))
    with created_hdf5(tmp_path / "file.h5") as file:
        file["a/b"] = values
        file["text"] = ["ä", "b"]
    with h5py.File(tmp_path / "file.h5") as file:
        np.testing.assert_array_equal(file["a/b"][:], values)
        assert file["text"].asstr()[:].tolist() == ["ä", "b"]
