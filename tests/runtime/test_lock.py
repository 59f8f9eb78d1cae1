"""One process makes a thing while the others wait, on file systems with and without locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time

import pytest
from real import REPOSITORY

from omib_cli.errors import Interrupted
from omib_cli.runtime.job import Job
from omib_cli.runtime.lock import claimed, exclusive
from omib_cli.runtime.progress import Progress

NO_LOCKS = "import errno, fcntl\ndef refuse(*_): raise OSError(errno.ENOLCK, 'none')\nfcntl.flock = refuse\n"


class Notes(Progress):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture(params=[None, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP], ids=lambda code: errno.errorcode.get(code))
def file_system(request, monkeypatch):
    """With locks, or as NFS and Lustre without a lock daemon."""
    fcntl = pytest.importorskip("fcntl")
    if request.param is not None:

        def refuse(*_):
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(fcntl, "flock", refuse)


def listening():
    return Job(threads=1, command="test", progress=Notes())


@pytest.mark.usefixtures("file_system")
def test_the_second_waits_says_so_once_and_goes_on_when_the_first_is_done(tmp_path):
    job, order = listening(), []

    def second():
        with exclusive(tmp_path / ".lock", job):
            order.append("second")

    with exclusive(tmp_path / ".lock", listening()):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(1.2)  # more than two looks
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]
    assert len(job.progress.notes) == 1
    assert f"another process is at work in {tmp_path}" in job.progress.notes[0]


@pytest.mark.usefixtures("file_system")
def test_a_stop_ends_the_waiting_and_leaves_the_lock_to_its_owner(tmp_path):
    job = listening()
    with exclusive(tmp_path / ".lock", listening()):
        job.stop.set("SIGTERM")
        with pytest.raises(Interrupted), exclusive(tmp_path / ".lock", job):
            pass
        with pytest.raises(Interrupted), exclusive(tmp_path / ".lock", job):
            pass


@pytest.mark.usefixtures("file_system")
def test_an_error_gives_the_lock_back(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / ".lock", listening()):
        raise ZeroDivisionError
    job = listening()
    with exclusive(tmp_path / ".lock", job):
        assert job.progress.notes == []


@pytest.mark.parametrize("without_locks", [False, True])
def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path, monkeypatch, without_locks):
    fcntl = pytest.importorskip("fcntl")
    refusal = NO_LOCKS if without_locks else ""
    code = (
        f"{refusal}import os, signal\nfrom pathlib import Path\nfrom omib_cli.runtime.job import Job\n"
        "from omib_cli.runtime.lock import claimed, exclusive\n"
        f"with exclusive(Path({str(tmp_path / '.lock')!r}), Job(threads=1)):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, check=False)
    if without_locks:
        assert (tmp_path / ".lock.held").exists()

        def refuse(*_):
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(fcntl, "flock", refuse)
    job = listening()
    timer = threading.Timer(10, job.stop.set, ["too long"])
    timer.start()
    with exclusive(tmp_path / ".lock", job):
        timer.cancel()


def test_another_refusal_than_that_there_are_no_locks_is_passed_on(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="broken disk"), exclusive(tmp_path / ".lock", listening()):
        pass


def test_a_claim_is_given_to_one_at_a_time_and_waits_for_nobody(file_system, tmp_path):
    first = claimed(tmp_path / "lock")
    assert first is not None
    assert claimed(tmp_path / "lock") is None
    first.release()
    again = claimed(tmp_path / "lock")
    assert again is not None
    again.release()
