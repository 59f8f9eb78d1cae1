"""``simulate`` and ``prepare``: the same file whatever happens on the way, and nothing half-written."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from real import REPOSITORY
from small import small_recipe
from table_data import frame, numbers, table_recipe, write_tables

from omib_cli.artifacts import dataset_writer
from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import verify
from omib_cli.artifacts.dataset import EVERYTHING, Dataset
from omib_cli.errors import DataError, Interrupted, MismatchError, RecipeError
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import prepare, simulate

PARTS = {"a0": 2, "a1": 3, "a2": 3, "b0": 2, "b1": 2, "b2": 2}
BIG = {"source": "simulation", "parts": PARTS, "samples": 20_000, "validation": 0.1}


def big(seed: int = 0):
    """Five blocks of samples."""
    return small_recipe(data=BIG, seed=seed)


def quiet() -> Job:
    return Job(device="cpu", threads=1, save_every=0.0, command="test")


KILLED = """
import os, signal, sys
from pathlib import Path
from omib_cli.artifacts import dataset_writer
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import simulate

out, moment, recipe = Path(sys.argv[1]), sys.argv[2], recipe_model().model_validate_json(sys.argv[3])
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

class Deadly(Progress):
    blocks = 0
    def advance(self, count, **figures):
        self.blocks += 1
        if moment == f"block {self.blocks}":
            die()

if moment == "stamped":
    dataset_writer.publish = die
elif moment == "stamping":
    def stamp(file, provenance):
        file.attrs["omib-kind"] = provenance.kind
        file.flush()
        die()
    dataset_writer.write_provenance = stamp
elif moment == "published":
    dataset_writer.Partial.discard = lambda self: die() if out.exists() else None
elif moment == "allocated":
    dataset_writer.Partial.save = die
simulate.run(recipe, out, Job(threads=1, save_every=0.0, progress=Deadly()))
"""


def run_and_kill(out: Path, moment: str) -> int:
    arguments = [sys.executable, "-c", KILLED, str(out), moment, big().model_dump_json()]
    return subprocess.run(arguments, check=False, cwd=REPOSITORY, timeout=120).returncode


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> str:
    """Hash of the uninterrupted run."""
    return simulate.run(big(), tmp_path_factory.mktemp("whole") / "data.h5", quiet()).hash


@pytest.mark.parametrize("moment", ["allocated", "block 1", "block 4", "stamping", "stamped", "published"])
def test_killed_run_continues_to_the_same_content(tmp_path, whole, moment):
    out = tmp_path / "data.h5"
    assert run_and_kill(out, moment) == -9
    assert out.exists() == (moment == "published")
    seen = Watched()
    result = simulate.run(big(), out, Job(threads=1, progress=seen))
    assert result.hash == whole
    assert verify(out).hash == whole
    assert list(tmp_path.iterdir()) == [out]
    assert seen.done == {"block 1": 4096, "block 4": 4 * 4096, "published": None}.get(moment, 0)


class Watched(Progress):
    """Notes how many samples a continued run found done."""

    done: int | None = None

    def begin(self, phase, total, unit="samples", done=0, epochs=None):
        self.done = done


def test_run_killed_at_any_time_continues_to_the_same_content(tmp_path, whole):
    out = tmp_path / "data.h5"
    arguments = [sys.executable, "-c", KILLED, str(out), "never", big().model_dump_json()]
    for wait in np.random.default_rng(0).uniform(0.3, 1.2, 4):
        process = subprocess.Popen(arguments, cwd=REPOSITORY)
        time.sleep(wait)
        process.kill()
        process.wait()
    assert simulate.run(big(), out, quiet()).hash == whole
    assert verify(out).hash == whole


def test_stopped_run_says_so_and_continues(tmp_path, whole):
    class Stopping(Progress):
        def advance(self, count, **figures):
            job.stop.set("SIGTERM")

    job = Job(threads=1, progress=Stopping())
    with pytest.raises(Interrupted) as caught:
        simulate.run(big(), tmp_path / "data.h5", job)
    assert caught.value.exit_code == 75
    assert not (tmp_path / "data.h5").exists()
    assert simulate.run(big(), tmp_path / "data.h5", quiet()).hash == whole


def test_same_seed_same_hash_another_seed_another(tmp_path, job):
    hashes = [
        simulate.run(small_recipe(seed=seed), tmp_path / f"{name}.h5", job).hash
        for name, seed in (("one", 0), ("two", 0), ("three", 1))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_finished_dataset_is_not_made_again_and_another_recipe_is_refused(tmp_path, job):
    out = tmp_path / "data.h5"
    first = simulate.run(small_recipe(), out, job)
    again = simulate.run(small_recipe(), out, job)
    assert again.already_there
    assert (again.hash, again.figures) == (first.hash, first.figures)
    with pytest.raises(MismatchError) as caught:
        simulate.run(small_recipe(seed=1), out, job)
    assert "seed: 0 -> 1" in str(caught.value)
    assert simulate.run(small_recipe(seed=1), out, Job(threads=1, fresh=True)).hash != first.hash


def test_a_damaged_output_is_told_from_a_damaged_input(tmp_path, job):
    out = tmp_path / "data.h5"
    hash_ = simulate.run(small_recipe(), out, job).hash
    for damage in (lambda: out.write_bytes(out.read_bytes()[:3000]), lambda: out.write_text("notes")):
        damage()
        with pytest.raises(DataError, match="exists already, and cannot be read") as caught:
            simulate.run(small_recipe(), out, job)
        assert "--fresh" in caught.value.do
        assert simulate.run(small_recipe(), out, Job(threads=1, fresh=True)).hash == hash_
    with pytest.raises(DataError, match="exists already"):
        simulate.run(small_recipe(), tmp_path, job)


def test_state_of_another_recipe_is_refused(tmp_path):
    assert run_and_kill(tmp_path / "data.h5", "block 2") == -9
    with pytest.raises(MismatchError):
        simulate.run(big(seed=1), tmp_path / "data.h5", quiet())


def test_figures_and_verification_of_a_prepared_dataset(tmp_path, job):
    folder = write_tables(tmp_path, frame(numbers(3), "r")[3:])
    result = prepare.run(table_recipe(), folder, tmp_path / "data.h5", job)
    assert result.figures == {
        "samples": 40,
        "train": 20,
        "validation": 0,
        "test": 20,
        "modalities": {"rna": 3, "protein": 2},
        "classes": 2,
        "missing": {"rna": 3},
    }
    assert verify(tmp_path / "data.h5").hash == result.hash
    with Dataset(tmp_path / "data.h5", EVERYTHING) as data:
        assert data.present(range(40)).sum() == 77
        assert set(data.preprocessing("rna")) == {"kept", "offset", "scale", "fill", "width"}
        assert str(tmp_path) not in str(data.provenance.facts)


def test_changed_source_files_are_noticed(tmp_path, job):
    out = tmp_path / "data.h5"
    folder = write_tables(tmp_path)
    first = prepare.run(table_recipe(), folder, out, job)
    assert prepare.run(table_recipe(), folder, out, job).already_there
    write_tables(tmp_path, rna=frame(numbers(3, seed=5), "r"))
    with pytest.raises(MismatchError) as caught:
        prepare.run(table_recipe(), folder, out, job)
    assert "rna.csv" in str(caught.value)
    assert prepare.run(table_recipe(), folder, out, Job(threads=1, fresh=True)).hash != first.hash


def test_warnings_are_shown_and_recorded(tmp_path):
    class Heard(Progress):
        said: list[str] = []

        def warn(self, message):
            self.said.append(message)

    folder = write_tables(tmp_path, frame(numbers(3), "r")[3:])
    prepare.run(table_recipe(), folder, tmp_path / "data.h5", Job(threads=1, progress=Heard()))
    assert Heard.said == verify(tmp_path / "data.h5").notes["warnings"] == ["3 samples without rna: kept and masked"]


def test_simulate_refuses_a_recipe_that_reads_files_and_prepare_simulates(tmp_path, job):
    with pytest.raises(RecipeError):
        simulate.run(table_recipe(), tmp_path / "data.h5", job)
    one = prepare.run(small_recipe(), None, tmp_path / "one.h5", job)
    assert one.hash == simulate.run(small_recipe(), tmp_path / "two.h5", job).hash


def test_refused_data_leaves_nothing_behind(tmp_path, job):
    folder = tmp_path / "in"
    folder.mkdir()
    write_tables(folder, frame(numbers(3), "r").assign(r1=1.0))
    with pytest.raises(DataError):
        prepare.run(table_recipe(constant="refuse"), folder, tmp_path / "out" / "data.h5", job)
    assert not (tmp_path / "out").exists()


def test_disk_full_keeps_the_old_file_and_continues_when_there_is_room(tmp_path, whole, monkeypatch):
    out = tmp_path / "data.h5"
    old = simulate.run(big(seed=1), out, quiet()).hash
    written = h5py.Dataset.__setitem__

    def full(self, rows, values):
        if isinstance(rows, slice) and rows.start and rows.start >= 8192 and self.name != f"/{fmt.IDS}":
            raise OSError(errno.ENOSPC, "No space left on device")
        written(self, rows, values)

    with monkeypatch.context() as patch:
        patch.setattr(h5py.Dataset, "__setitem__", full)
        with pytest.raises(DataError) as caught:
            simulate.run(big(), out, Job(threads=1, fresh=True, save_every=0.0))
    assert caught.value.exit_code == 3
    assert "No space left" in str(caught.value)
    assert verify(out).hash == old
    out.unlink()
    seen = Watched()
    assert simulate.run(big(), out, Job(threads=1, progress=seen)).hash == whole
    assert seen.done == 8192


def test_a_disk_without_room_is_noticed_before_anything_is_written(tmp_path, monkeypatch, job):
    monkeypatch.setattr(dataset_writer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match="no room"):
        simulate.run(small_recipe(), tmp_path / "data.h5", job)
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, signal, sys
from pathlib import Path
from omib_cli.errors import DataError
from omib_cli.recipe.schema import recipe_model
from omib_cli.runtime.job import Job
from omib_cli.stages import simulate

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    simulate.run(recipe_model().model_validate_json(sys.argv[2]), Path(sys.argv[1]), Job(threads=1))
except DataError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("limit", [3000, 100_000])
def test_a_write_that_the_system_refuses_is_a_message_and_no_crash(tmp_path, limit):
    pytest.importorskip("resource")
    arguments = [sys.executable, "-c", FULL, str(tmp_path / "data.h5"), big().model_dump_json(), str(limit)]
    done = subprocess.run(arguments, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    assert "could not be written" in done.stdout
    assert "File too large" in done.stdout
    assert not (tmp_path / "data.h5").exists()


def test_sources_never_import_torch():
    code = "import sys, omib_cli.sources.tables, omib_cli.sources.simulation; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, timeout=60)
