"""One command in several processes, as torchrun starts them: who is who, and sums over all of them.

Alone, every function here does nothing. A command that can be divided does the same in every process but for its share
of the samples; the process of rank 0 alone writes files and speaks. Who is who stands in the environment, in the
variables that torchrun sets; one that is empty counts as absent.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from omib_cli.distributed import waiting
from omib_cli.errors import Interrupted, OmibError, UsageError

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others' messages: one may be estimating while the others are done."""
MEETING_SECONDS = 600.0
"""How long a process waits for the others at first, when none has anything else to do than come."""
SILENT_SECONDS = 10.0
"""How long it waits before it says so."""
POLL_SECONDS = 0.2

_RENDEZVOUS = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""What each of several processes has to be told."""
_NUMBERS = ("RANK", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_LAUNCHERS = {"srun": "SLURM_STEP_NUM_TASKS", "mpirun": "OMPI_COMM_WORLD_SIZE"}
"""Who else starts a command several times, and the variable in which it says how often."""


def world_size() -> int:
    """Number of processes of this command; 1 as well where WORLD_SIZE is no number (:func:`must_be_complete`)."""
    return max(1, _number("WORLD_SIZE", 1))


def rank() -> int:
    """Number of this process, from 0."""
    return _number("RANK", 0) if world_size() > 1 else 0


def local_rank() -> int:
    """Number of this process among those of its machine, from 0."""
    return _number("LOCAL_RANK", 0) if world_size() > 1 else 0


def local_world_size() -> int:
    """Number of processes of this command on this machine."""
    return max(1, _number("LOCAL_WORLD_SIZE", 1)) if world_size() > 1 else 1


def is_rank_zero() -> bool:
    """Whether this process writes and speaks."""
    return rank() == 0


def copies() -> str | None:
    """Who has started this command several times without dividing it, and how often, in words; None if nobody has."""
    if world_size() > 1:
        return None
    for launcher, variable in _LAUNCHERS.items():
        if (count := _number(variable, 1)) > 1:
            return f"{launcher} runs {count} tasks ({variable})"
    return None


def must_be_complete() -> None:
    """Refuse an environment that says there are several processes, but not how they find each other.

    Clusters leave WORLD_SIZE in the environment of programs that have no other process.

    Raises
    ------
    UsageError
        A variable is missing, is no number, or contradicts another one.
    """
    size = _variable("WORLD_SIZE")
    if size and (not _is_number(size) or int(size) == 0):
        wrong = ["WORLD_SIZE is no number of processes"]
    elif world_size() > 1:
        wrong = [f"{name} is missing" for name in _RENDEZVOUS if not _variable(name)]
        wrong += [
            f"{name}={text} is no number" for name in _NUMBERS if (text := _variable(name)) and not _is_number(text)
        ]
        wrong = wrong or _contradictions()
    else:
        return
    if wrong:
        raise UsageError(
            f"WORLD_SIZE={size} says that this is one of several processes, and not all else that they need is said",
            got="; ".join(wrong),
            expected=f"what torchrun sets: WORLD_SIZE, {', '.join(_RENDEZVOUS)}, LOCAL_RANK, LOCAL_WORLD_SIZE",
            do="unset WORLD_SIZE to run in one process, or start it with torchrun",
        )


def _contradictions() -> list[str]:
    """Which of the variables, all of them numbers, cannot be true together."""
    found = []
    if rank() >= world_size():
        found.append(f"RANK={rank()} of {world_size()}, counted from 0")
    if local_rank() >= local_world_size():
        found.append(f"LOCAL_RANK={local_rank()} of LOCAL_WORLD_SIZE={local_world_size()}, counted from 0")
    if local_world_size() > world_size():
        found.append(f"LOCAL_WORLD_SIZE={local_world_size()} of {world_size()}")
    if not 0 < _number("MASTER_PORT", 0) < 2**16:
        found.append(f"MASTER_PORT={_number('MASTER_PORT', 0)} is no port")
    return found


def _variable(name: str) -> str:
    """A variable of the environment; empty where it is absent."""
    return os.environ.get(name, "").strip()


def _is_number(text: str) -> bool:
    """Whether a text is a whole number from 0 on."""
    return text.isascii() and text.isdigit()


def _number(name: str, otherwise: int) -> int:
    """A variable that counts something; ``otherwise`` where it is absent or no number."""
    return int(text) if _is_number(text := _variable(name)) else otherwise


def initialise(
    device: torch.device,
    stop: Callable[[], str | None] = lambda: None,
    say: Callable[[str], None] = lambda _: None,
    signals: Sequence[str] = (),
) -> None:
    """Meet the other processes (gloo on the CPU, NCCL on CUDA), once.

    Parameters
    ----------
    stop
        Why to leave without them, or None to go on waiting; asked again and again.
    say
        Told, after a while, for whom it waits.
    signals
        Names of those that set ``stop``, for :func:`~omib_cli.distributed.waiting.watch`.

    Raises
    ------
    Interrupted
        A stop was asked for first.
    OmibError
        They did not come, or cannot be reached.
    """
    if world_size() == 1:
        return
    import torch
    from torch import distributed

    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if not distributed.is_initialized():
        _meet(lambda: distributed.init_process_group(backend, timeout=PATIENCE), stop, say)
        waiting.watch(stop, signals)


def _meet(connect: Callable[[], object], stop: Callable[[], str | None], say: Callable[[str], None]) -> None:
    """Connect in a thread: torch does not return before all are there, and hears no signal meanwhile."""
    failures: list[Exception] = []

    def attempt() -> None:
        try:
            connect()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the waiting thread's
            failures.append(error)

    thread = threading.Thread(target=attempt, daemon=True)  # nothing can end it but the end of the program
    thread.start()
    _wait(thread, stop, say)
    for failure in failures:
        raise _not_met(failure) from failure


def _wait(thread: threading.Thread, stop: Callable[[], str | None], say: Callable[[str], None]) -> None:
    """Until the thread is done, a stop is asked for or the time for meeting is over."""
    begun, said = time.monotonic(), False
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        waited = time.monotonic() - begun
        if thread.is_alive() and (reason := stop()) is not None:
            raise Interrupted(
                f"stopped ({reason}) while waiting for the other processes; nothing was begun",
                do="run the same command again",
            )
        if waited > MEETING_SECONDS:
            raise _not_met(f"too few within {MEETING_SECONDS / 60:.0f} minutes")
        if waited > SILENT_SECONDS and not said:
            said = True
            say(f"waiting for the other processes, {MEETING_SECONDS / 60:.0f} minutes at most: {_who()}")


def _who() -> str:
    place = f"{_variable('MASTER_ADDR')}:{_variable('MASTER_PORT')}"
    return f"this is number {rank()} of {world_size()}, counted from 0; all meet at {place}"


def _not_met(got: object) -> OmibError:
    return OmibError(
        f"the other processes of this command cannot be met: {_who()}",
        got=str(got).partition("\n")[0],
        do="see what the others say; there must be WORLD_SIZE of them, and MASTER_ADDR must be number 0's machine",
    )


def shut_down() -> None:
    """Leave the others, at the end of the program."""
    if world_size() == 1:
        return
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


@contextmanager
def _others() -> Iterator[Any]:
    """torch.distributed, for messages to the other processes.

    Raises
    ------
    OmibError
        One of them is gone.
    """
    from torch import distributed

    try:
        with waiting.message():
            yield distributed
    except RuntimeError as error:
        raise OmibError(
            f"another process of this command has ended; this is number {rank()} of {world_size()}",
            got=str(error).partition(". This is")[0],  # gloo goes on with guesses
            do="see what the other one said; the same command continues from the state saved last",
        ) from error


def barrier() -> None:
    """Until every process is here."""
    if world_size() > 1:
        with _others() as distributed:
            distributed.barrier()


def all_reduce_sum(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over processes, in place."""
    if world_size() > 1:
        with _others() as distributed:
            distributed.all_reduce(tensor)
    return tensor


def any_process(wish: bool) -> bool:
    """Whether any process wishes so."""
    return any(all_gather(wish))


def broadcast(tensor: torch.Tensor) -> torch.Tensor:
    """The first process's values, in place."""
    if world_size() > 1:
        with _others() as distributed:
            distributed.broadcast(tensor, 0)
    return tensor


def all_gather(value: Any) -> list[Any]:
    """The value of each process, in their order; values that pickle can hold between processes of one command."""
    if world_size() == 1:
        return [value]
    found: list[Any] = [None] * world_size()
    with _others() as distributed:
        distributed.all_gather_object(found, value)
    return found
