"""What every stage's command does around its one call: signals, progress, where things come from and go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.cli.console import remark, say, show_json, show_rows
from omib_cli.cli.progress import ConsoleProgress, clock
from omib_cli.distributed import processes
from omib_cli.errors import UsageError
from omib_cli.runtime.job import Job
from omib_cli.runtime.libraries import prepare_libraries
from omib_cli.runtime.machine import granted_threads, memory_size, must_be_a_device, peak_memory_mib, pick_device
from omib_cli.runtime.stop import StopFlag

if TYPE_CHECKING:
    from omib_cli.artifacts.dataset import Dataset
    from omib_cli.recipe.schema import Recipe
    from omib_cli.stages.plan import PlannedStep


@contextmanager
def working(
    *,
    device: str = "auto",
    threads: int | None = None,
    memory: str | None = None,
    compiled: bool = False,
    fresh: bool = False,
    max_minutes: float | None = None,
    quiet: bool = False,
    verbose: bool = False,
    divisible: bool = False,
    elsewhere: bool = False,
) -> Iterator[Job]:
    """The job of a command, listening to signals from here on; the terminal is given back at the end.

    What can be refused by looking at the machine is refused here, before anything is read or written.

    Parameters
    ----------
    divisible
        Whether several processes may share the command's work.
    elsewhere
        Whether the device is that of another machine, which is yet to be given the work.

    Raises
    ------
    UsageError
        There is no such device, or the command is started in several processes that cannot share it or find each other.
    """
    _must_fit_processes(divisible)
    must_be_a_device(device)
    if device not in ("auto", "cpu") and not elsewhere:  # these two are always there: no need to wait for torch
        pick_device(device)
    granted = threads or granted_threads()
    prepare_libraries(granted)
    stop = StopFlag(max_minutes)
    stop.listen()
    progress = ConsoleProgress(quiet=quiet or not processes.is_rank_zero(), verbose=verbose)
    job = Job(
        device=device,
        threads=granted,
        compile=compiled,
        memory=None if memory is None else memory_size(memory),
        fresh=fresh,
        stop=stop,
        progress=progress,
    )
    if (launched := processes.copies()) is not None:
        progress.note(f"{launched}: each that starts this command does all of it; torchrun divides the work")
    begun = time.monotonic()
    try:
        yield job
    except KeyboardInterrupt:
        progress.close()
        remark("  the same command continues from the state last saved, if there is one", "interrupted")
        raise
    finally:
        progress.close()
        processes.shut_down()
        if verbose:
            remark(
                f"     device {job.device}, {job.threads} threads, {clock(time.monotonic() - begun)}, "
                f"peak memory {peak_memory_mib():,.0f} MiB",
                "used",
            )


def _must_fit_processes(divisible: bool) -> None:
    processes.must_be_complete()
    if processes.world_size() > 1 and not divisible:
        raise UsageError(
            "this command runs in one process",
            got=f"{processes.world_size()} processes (WORLD_SIZE)",
            expected="omib estimate-mi, warmup, train or embed under torchrun",
            do="unset WORLD_SIZE if there are no others",
        )


def recipe_for(
    data: Dataset,
    reference: str | None,
    overrides: Sequence[str] | None,
    seed: int | None,
    start: Path | None = None,
) -> Recipe:
    """The recipe that ``--recipe`` names, or else the one the dataset carries; overrides on top.

    Of a model to start from it is that one's, but for the ``data`` section.
    """
    from omib_cli.artifacts.stored_recipe import recipe_of
    from omib_cli.recipe.load import load_recipe

    if reference is not None:
        return load_recipe(reference, overrides or (), seed)
    if start is not None:
        from omib_cli.artifacts.checkpoint import read_header

        own = recipe_of(read_header(start), start, overrides or (), seed)
        return own.model_copy(update={"data": recipe_of(data.provenance, data.path).data})
    return recipe_of(data.provenance, data.path, overrides or (), seed)


def show_plan(
    recipe: Recipe,
    steps: Sequence[PlannedStep],
    out: Path,
    *,
    as_json: bool,
    trial: Mapping[str, Any] | None = None,
    **inputs: Path | None,
) -> None:
    """Say what would be done, instead of doing it.

    Parameters
    ----------
    trial
        What one batch has shown (``stages.rehearsal``).
    inputs
        The files that are given, by kind.
    """
    if as_json:
        words = [str(step) for step in steps]
        show_json({"dry_run": True, "out": str(out), "recipe": recipe.name, "steps": words, **(trial or {})})
        return
    given = {name: path for name, path in inputs.items() if path is not None}
    show_rows({"recipe": f"{recipe.name} ({recipe.hash()[:12]})", **given})
    for step in steps:
        say(f"- {step}")
    if trial is not None:
        counts = ", ".join(f"{name} {count:,}" for name, count in trial["parameters"].items())
        say(f"a batch of {trial['batch']} goes through in {trial['seconds']:.2g} s; parameters: {counts}")
        say(f"at that rate this phase takes {trial['minutes']:,.3g} minutes")
    say(f"would write {out}; nothing was done")
