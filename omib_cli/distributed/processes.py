"""One command in several processes, as torchrun starts them: who is who, and sums over all of them.

Alone, every function here does nothing. A command that can be divided does the same in every process but for its share
of the samples; the first process alone writes files and speaks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from omib_cli.errors import OmibError

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: one may be estimating while the others are done."""


def world_size() -> int:
    """Number of processes of this command."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


def local_rank() -> int:
    """Number of this process among those of its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if world_size() > 1 else 0


def local_world_size() -> int:
    """Number of processes of this command on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1


def is_rank_zero() -> bool:
    """Whether this process writes and speaks."""
    return rank() == 0


def initialise(device: torch.device) -> None:
    """Find the other processes (gloo on the CPU, NCCL on CUDA), once."""
    if world_size() == 1:
        return
    import torch
    from torch import distributed

    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


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
