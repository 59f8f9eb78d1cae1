"""How a run of a grid is carried out: in a process of its own, or one after another where torch is loaded already."""

from __future__ import annotations

import multiprocessing
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from omib_cli.errors import OmibError
from omib_cli.recipe.load import load_recipe
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import run
from omib_cli.stages.cells import Cell, Launch, Watch

LOG = "run.log"
"""Where a run's warnings and errors go, in its folder."""


class Work(Protocol):
    """A run that was started, as ``subprocess.Popen`` has it."""

    def poll(self) -> int | None:
        """Its exit code; None while it is at work."""

    def terminate(self) -> None:
        """Ask it to save its state and end."""

    def wait(self) -> int:
        """Its exit code, once it has ended."""


def in_a_process(cell: Cell, launch: Launch) -> Work:
    """Start a run in a process of its own."""
    with (cell.folder / LOG).open("ab") as log:
        command = [sys.executable, "-m", "omib_cli", *launch.words(cell)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)


@dataclass(frozen=True)
class RunOrder:
    """A run as another process can be told of it: recipes are read again, since their classes are made as they are."""

    reference: str
    overrides: tuple[str, ...]
    seed: int
    folder: Path
    command: str
    watch: Watch | None

    @classmethod
    def of(cls, cell: Cell, launch: Launch) -> RunOrder:
        """The order to carry out a cell."""
        command = shlex.join(["omib", *launch.words(cell)])
        return cls(cell.reference, cell.overrides, cell.seed, cell.folder, command, cell.watch)


@dataclass(frozen=True)
class Done:
    """A run that was carried out at once."""

    code: int

    def poll(self) -> int | None:
        """Its exit code."""
        return self.code

    def terminate(self) -> None:
        """There is nothing to end."""

    def wait(self) -> int:
        """Its exit code."""
        return self.code


def here(cell: Cell, launch: Launch, job: Job) -> Work:
    """Carry out a run in this process."""
    return Done(_carry_out(RunOrder.of(cell, launch), launch, job, cell.recipe))


class Workers:
    """Processes that carry out one run after another, each of which loads torch once."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._every: list[_Worker] = []

    def start(self, cell: Cell) -> Work:
        """Give a run to a process that has none, a new one if need be."""
        worker = next((each for each in self._every if each.is_idle), None)
        if worker is None:
            worker = _Worker(self._launch)
            self._every.append(worker)
        return worker.take(RunOrder.of(cell, self._launch))

    def dismiss(self) -> None:
        """End all processes; those at work save their state first if they were told to end."""
        for worker in self._every:
            worker.dismiss()


class _Worker:
    """One of them, and the run that it has: what :class:`Work` asks for is asked of that one."""

    def __init__(self, launch: Launch) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end, launch))
        self._process.start()
        end.close()
        self._code: int | None = 0

    @property
    def is_idle(self) -> bool:
        return self._code is not None and self._process.is_alive()

    def take(self, order: RunOrder) -> Work:
        self._code = None
        self._pipe.send(order)
        return self

    def poll(self) -> int | None:
        if self._code is None and (self._pipe.poll() or not self._process.is_alive()):
            self._code = self._answer()
        return self._code

    def wait(self) -> int:
        if self._code is None:
            self._code = self._answer()
        return self._code

    def terminate(self) -> None:
        if self._code is None:
            self._process.terminate()

    def dismiss(self) -> None:
        self._pipe.close()
        self._process.join()

    def _answer(self) -> int:
        """The exit code of the run, or that of the process if it ended without a word."""
        try:
            code: int = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode or 1
        return code


def _serve(pipe: Connection, launch: Launch) -> None:
    """Carry out what is ordered until the pipe is closed, or a stop is asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal's interrupt the grid itself hears, and asks to stop
    job = Job(device=launch.device, threads=launch.threads)
    job.stop.listen()
    while job.stop.reason is None:
        try:
            pipe.send(_carry_out(pipe.recv(), launch, job))
        except (EOFError, ConnectionError):  # the grid has ended, or was killed
            return


def _carry_out(order: RunOrder, launch: Launch, job: Job, recipe: Recipe | None = None) -> int:
    """Do a run in this process, of a recipe that was read already or is read now; its exit code.

    What it says goes into its log.
    """
    own = replace(
        job,
        device=launch.device,
        threads=launch.threads,
        memory=launch.memory,
        fresh=False,
        progress=_Log(order.folder / LOG),
        after_epoch=None if order.watch is None else _reporter(order.watch, job),
        command=order.command,
    )
    try:
        asked = recipe or load_recipe(order.reference, order.overrides, order.seed)
        run.run(asked, launch.input_path, order.folder, own, launch.shared, until=launch.until)
    except OmibError as error:
        for label, text in error.lines():
            own.progress.warn(f"{label}: {text}" if label else text)
        return error.exit_code
    except (RuntimeError, MemoryError):  # torch found no memory, say: the others go on, and the log says where
        own.progress.warn(traceback.format_exc())
        return 1
    return 0


def _reporter(watch: Watch, job: Job) -> Callable[[Mapping[str, Any]], None]:
    from omib_cli.stages.trials import Reporter  # needs optuna, which is not everywhere

    return Reporter(watch, job)


class _Log(Progress):
    """Warnings of a run, a line each, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def warn(self, message: str) -> None:
        """Add it to the file."""
        with self._path.open("a", encoding="utf-8") as log:
            log.write(f"{message}\n")
