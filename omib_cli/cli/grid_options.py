"""The options that all commands have which run many runs, said once: a command has one parameter for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from omib_cli.cli import options as opt
from omib_cli.cli.session import working

if TYPE_CHECKING:
    from omib_cli.runtime.job import Job
    from omib_cli.stages.cells import Launch
    from omib_cli.stages.run import Until

LEAST_MEMORY = 2**29
"""Bytes for samples that a run is given unasked, however little there is: reading from disk takes half of it."""


@dataclass(frozen=True, kw_only=True)
class ManyRuns:
    """What and where, and on what machine."""

    input_path: opt.Input = None
    out: opt.Out = None
    jobs: opt.Jobs = 1
    overrides: opt.Overrides = None
    device: opt.Device = "auto"
    threads: opt.Threads = None
    memory: opt.Memory = None
    max_minutes: opt.MaxMinutes = None
    as_json: opt.AsJson = False
    quiet: opt.Quiet = False
    verbose: opt.Verbose = False

    @property
    def changes(self) -> tuple[str, ...]:
        """The keys of the recipe that ``--set`` replaces."""
        return tuple(self.overrides or ())

    @property
    def runs_elsewhere(self) -> bool:
        """Whether nothing is run here."""
        return False

    @contextmanager
    def working(self) -> Iterator[Job]:
        """The job of the command; each run has its part of the CPU threads."""
        from omib_cli.runtime.machine import granted_threads

        with working(
            device=self.device,
            threads=self.threads or max(1, granted_threads() // self.jobs),
            memory=self.memory,
            max_minutes=self.max_minutes,
            quiet=self.quiet,
            verbose=self.verbose,
            elsewhere=self.runs_elsewhere,
        ) as job:
            yield job

    def launch(self, job: Job, name: str, until: Until = "report") -> Launch:
        """How runs are started, and with what they end; what they may use is divided among those at work.

        Those without a report of their own, folds and trials, are many runs of the same data: they share processes.

        Parameters
        ----------
        name
            Of the folder, where ``--out`` says none.
        """
        from omib_cli.runtime.machine import memory_for_samples
        from omib_cli.stages.cells import Launch

        memory = None if job.memory is None else job.memory // self.jobs
        if memory is None and self.jobs > 1:  # each alone would take half of what there is
            memory = max(LEAST_MEMORY, memory_for_samples() // self.jobs)
        out = self.out or Path(name)
        return Launch(out, self.input_path, self.device, job.threads, memory, until, apart=until == "report")


@dataclass(frozen=True, kw_only=True)
class Grid(ManyRuns):
    """Also what to do with cells that are known before any has run."""

    first_seed: opt.FirstSeed = 0
    as_list: opt.AsList = False
    collect: opt.Collect = False

    @property
    def runs_elsewhere(self) -> bool:
        """Whether nothing is run here."""
        return self.as_list or self.collect


def takes_grid(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter ``grid`` becomes the options of its type, behind the command's own.

    Typer reads a command's options from its signature, and knows no parameter that is several.
    """
    hints = get_type_hints(command, include_extras=True)
    group = hints.pop("grid")
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "grid"]
    shared = get_type_hints(group, include_extras=True)

    def called(**given: Any) -> None:
        command(grid=group(**{name: given.pop(name) for name in shared}), **given)

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name]) for each in own]
    for each in fields(group):
        default = inspect.Parameter.empty if each.default is MISSING else each.default
        parameters.append(
            inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=shared[each.name])
        )
    called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return called
