"""Who is who in an environment that a cluster or a user has set, and how processes meet or leave without having met."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from real import REPOSITORY
from small import toy_dataset

from omib_cli.cli import app
from omib_cli.distributed import processes
from omib_cli.errors import Interrupted, OmibError

WHOLE = {"WORLD_SIZE": "4", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture
def environment(monkeypatch):
    """Set the variables of several processes, and none but those that are given."""
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

    def put(**given):
        for name in (*names, "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    put()
    return put


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        app.main(list(map(str, arguments)))
    return end.value.code


SMALL = ["simulate", "--dims", "a0=3,a1=3,a2=2,b0=1,b1=2,b2=2", "--samples", "40", "-o"]


@pytest.mark.parametrize(
    "given",
    [
        {"WORLD_SIZE": ""},
        {"WORLD_SIZE": " "},
        {"WORLD_SIZE": "1"},
        {"WORLD_SIZE": "1", "RANK": "0", "MASTER_ADDR": "node"},
        {"WORLD_SIZE": "1", "RANK": "3", "LOCAL_RANK": "x", "LOCAL_WORLD_SIZE": "8"},
        {"WORLD_SIZE": "", "RANK": "2", "MASTER_PORT": "none"},
        {"RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"},
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "2"},
    ],
    ids=str,
)
def test_a_single_process_works_whatever_else_a_cluster_has_set(environment, tmp_path, capsys, given):
    environment(**given)
    assert (processes.world_size(), processes.rank(), processes.local_rank()) == (1, 0, 0)
    assert processes.local_world_size() == 1
    processes.initialise(torch.device("cpu"))
    assert run(*SMALL, tmp_path / "d.h5") == 0
    assert "dataset" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"RANK": None}, "RANK is missing"),
        ({"RANK": ""}, "RANK is missing"),
        ({"MASTER_ADDR": None}, "MASTER_ADDR is missing"),
        ({"MASTER_PORT": None}, "MASTER_PORT is missing"),
        ({"RANK": None, "MASTER_ADDR": None, "MASTER_PORT": None}, "RANK is missing; MASTER_ADDR is missing"),
        ({"RANK": "first"}, "RANK=first is no number"),
        ({"RANK": "-1"}, "RANK=-1 is no number"),
        ({"RANK": "4"}, "RANK=4 of 4"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT=http is no number"),
        ({"MASTER_PORT": "0"}, "is no port"),
        ({"MASTER_PORT": "70000"}, "is no port"),
        ({"LOCAL_RANK": "1.0"}, "LOCAL_RANK=1.0 is no number"),
        ({"LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "2"}, "LOCAL_RANK=2 of LOCAL_WORLD_SIZE=2"),
        ({"LOCAL_RANK": "1"}, "LOCAL_RANK=1 of LOCAL_WORLD_SIZE=1"),
        ({"LOCAL_WORLD_SIZE": "8"}, "LOCAL_WORLD_SIZE=8 of 4"),
        ({"WORLD_SIZE": "four"}, "WORLD_SIZE=four"),
        ({"WORLD_SIZE": "4.0"}, "WORLD_SIZE=4.0"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE=-2"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0"),
        ({"WORLD_SIZE": "²"}, "WORLD_SIZE=²"),
    ],
    ids=str,
)
def test_several_processes_that_cannot_find_each_other_are_refused_at_once(environment, tmp_path, capsys, change, said):
    environment(**{name: value for name, value in {**WHOLE, **change}.items() if value is not None})
    dataset = tmp_path / "d.h5"
    dataset.write_bytes(b"")
    for command in (
        ["train", dataset],
        ["embed", dataset, "--model", "m"],
        ["run", "sim-i"],
        [*SMALL, tmp_path / "e.h5"],
    ):
        assert run(*command) == 2
        shown = capsys.readouterr()
        assert said in shown.err if processes.is_rank_zero() else "WORLD_SIZE" in shown.err
        assert "Traceback" not in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["d.h5"]


def test_commands_that_meet_nobody_answer_in_any_environment(environment, capsys):
    for size in ("four", "0", "4"):
        environment(WORLD_SIZE=size)
        assert run("recipe", "check", "sim-i") == 0
        assert run("--version") == 0
        assert capsys.readouterr().out.startswith("ok: sim-i")


@pytest.mark.parametrize("variable", ["SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"])
def test_copies_that_a_launcher_starts_without_dividing_the_work_are_told_so(environment, tmp_path, capsys, variable):
    environment(**{variable: "4"})
    assert run(*SMALL, tmp_path / "d.h5") == 0
    assert f"({variable})" in capsys.readouterr().err
    environment(**{variable: "1"})
    assert run(*SMALL, tmp_path / "e.h5") == 0
    assert "torchrun" not in capsys.readouterr().err


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


TELLING = """
import sys
from torch import distributed
from omib_cli.cli.app import main
meet = distributed.init_process_group
def say_and_meet(*given, **named):
    print("meeting", file=sys.stderr, flush=True)
    meet(*given, **named)
distributed.init_process_group = say_and_meet
main()
"""
"""omib, saying when it begins to wait."""


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_signal_ends_the_wait_for_the_others_and_leaves_nothing_behind(environment, tmp_path, rank):
    dataset, out = toy_dataset(tmp_path / "d.h5"), tmp_path / "out" / "m.safetensors"
    out.parent.mkdir()
    told = {**WHOLE, "WORLD_SIZE": "2", "RANK": rank, "MASTER_PORT": free_port(), "PYTHONPATH": str(REPOSITORY)}
    environment(**told)
    words = ["warmup", str(dataset), "-o", str(out), "--threads", "1"]
    process = subprocess.Popen([sys.executable, "-c", TELLING, *words], stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line == "meeting\n":
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM if rank == "0" else signal.SIGUSR1)
    asked = time.monotonic()
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 75, lines
    assert time.monotonic() - asked < 30
    assert "while waiting for the other processes" in rest
    assert "Traceback" not in rest
    assert list(out.parent.iterdir()) == []


def test_the_first_meeting_has_an_end_and_says_what_to_look_at(environment, monkeypatch):
    environment(**{**WHOLE, "WORLD_SIZE": "2", "MASTER_PORT": free_port()})
    monkeypatch.setattr(processes, "MEETING_SECONDS", 0.5)
    monkeypatch.setattr(processes, "SILENT_SECONDS", 0.1)
    said = []
    with pytest.raises(OmibError, match="cannot be met") as caught:
        processes.initialise(torch.device("cpu"), say=said.append)
    assert "number 1 of 2" in str(caught.value)
    assert len(said) == 1


def test_max_minutes_ends_the_wait_too(environment):
    environment(**{**WHOLE, "WORLD_SIZE": "2", "MASTER_PORT": free_port()})
    reasons = iter([None, "--max-minutes 1 reached"])
    with pytest.raises(Interrupted, match="--max-minutes 1 reached"):
        processes.initialise(torch.device("cpu"), stop=lambda: next(reasons))


def test_what_goes_wrong_while_connecting_is_said_in_words(environment, monkeypatch):
    environment(**WHOLE)

    def fail(*_, **__):
        raise RuntimeError("no route to host\nC++ stack trace")

    monkeypatch.setattr(torch.distributed, "init_process_group", fail)
    with pytest.raises(OmibError, match="cannot be met") as caught:
        processes.initialise(torch.device("cpu"))
    assert caught.value.got == "no route to host"
