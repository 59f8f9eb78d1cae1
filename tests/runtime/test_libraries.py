"""Libraries are told before they are imported where they may write, and to take no locks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from real import REPOSITORY

from omib_cli.runtime import libraries

CODE = """
import os
from omib_cli.runtime.libraries import prepare_libraries
prepare_libraries()
print(os.environ.get("NUMBA_CACHE_DIR", "none"), os.environ["HDF5_USE_FILE_LOCKING"])
"""


def told(prefix=(), **environment):
    """What a process of its own is told: numba's folder, whether HDF5 locks."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TMPDIR")}
    known = {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    command = [*prefix, sys.executable, "-c", CODE]
    done = subprocess.run(command, env=known, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def read_only_install():
    """What runs a command with the installed libraries read-only; a skip where the system permits no such thing."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not there")
    root = Path(sys.prefix).resolve()
    script = f'mount --bind {root} {root} && mount -o remount,ro,bind {root} && exec "$@"'
    prefix = ["unshare", "-rm", "bash", "-c", script, "bash"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("the system permits no read-only mount")
    return prefix


def test_numba_has_a_cache_of_its_own_where_nothing_can_be_written_and_it_goes_with_the_program(tmp_path):
    prefix = read_only_install()
    folder, _ = told(prefix, HOME="/proc/none")
    assert "omib-numba-" in folder
    assert not Path(folder).exists()
    assert told(prefix)[0] != "none"
    assert told(prefix, HOME=str(tmp_path))[0] == "none"  # the user's own cache will do
    assert told(prefix, HOME="/proc/none", XDG_CACHE_HOME=str(tmp_path / "to" / "be" / "made"))[0] == "none"
    assert list(tmp_path.iterdir()) == []


def test_what_the_user_has_set_stays(tmp_path):
    assert told(NUMBA_CACHE_DIR=str(tmp_path), HDF5_USE_FILE_LOCKING="TRUE") == [str(tmp_path), "TRUE"]
    assert told()[1] == "FALSE"


@pytest.mark.parametrize("place", ["/proc/none", "/proc/none/deep", "/dev/null", "/dev/null/below"])
def test_a_folder_that_can_never_be_made_is_not_taken_for_one_that_can(place):
    if not Path("/proc/self").is_dir():
        pytest.skip("not Linux")
    assert not libraries._is_writable(Path(place))


def test_a_folder_that_is_still_to_be_made_is_one(tmp_path):
    assert libraries._is_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_files_of_anndata_are_read_and_written_where_the_file_system_has_no_locks(tmp_path):
    if shutil.which("cc") is None or sys.platform != "linux":
        pytest.skip("nothing to take the locks away with")
    source, library = tmp_path / "none.c", tmp_path / "none.so"
    source.write_text("#include <errno.h>\nint flock(int f, int o) { errno = ENOLCK; return -1; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    code = (
        "import sys\nfrom omib_cli.runtime.libraries import prepare_libraries\nprepare_libraries()\n"
        "import anndata, numpy\nanndata.AnnData(numpy.ones((3, 2), dtype='float32')).write_h5ad(sys.argv[1])\n"
        "print(anndata.read_h5ad(sys.argv[1]).shape)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "HDF5_USE_FILE_LOCKING"}
    environment |= {"PYTHONPATH": str(REPOSITORY), "LD_PRELOAD": str(library)}
    command = [sys.executable, "-c", code, str(tmp_path / "a.h5ad")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "(3, 2)\n", done.stderr


@pytest.mark.parametrize(("said", "expected"), [(None, "3"), ("7", "7")])
def test_linear_algebra_has_the_threads_of_the_command_unless_the_user_says_otherwise(monkeypatch, said, expected):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", said)
    libraries.prepare_libraries(3)
    assert os.environ["OPENBLAS_NUM_THREADS"] == expected


@pytest.mark.parametrize("said", [None, "active"])
def test_threads_wait_asleep_unless_the_user_says_otherwise(monkeypatch, said):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", said)
    libraries.prepare_libraries(3)
    assert os.environ["OMP_WAIT_POLICY"] == (said or "PASSIVE")
