"""Sums of many tensors over all processes, again and again: the gradients of every step.

Processes on the CPU of one machine have memory in common and add up in it: a message through gloo takes several times
as long, on the same cores. All others send one message.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import torch

from omib_cli.distributed import processes


class Exchange:
    """Adds tensors up over all processes; every process calls it equally often, with equal shapes.

    Parameters
    ----------
    device
        Of the tensors, which are float32.
    shared
        Whether to use memory that the processes have in common; by default wherever they can have it.
    """

    def __init__(self, device: torch.device, shared: bool | None = None) -> None:
        together = processes.local_world_size() == processes.world_size() and hasattr(os, "memfd_create")
        self._shared = device.type == "cpu" and together if shared is None else shared
        self._memory = torch.empty(0, 0)

    def sums(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The sum over processes of each tensor: to be read, not written to, and only until the next call."""
        total, count, rank = sum(tensor.numel() for tensor in tensors), processes.world_size(), processes.rank()
        if self._shared and total > self._memory.shape[1]:  # in all processes at once: their shapes are equal
            found = _common_memory(count + 1, total)
            self._shared, self._memory = found is not None, self._memory if found is None else found
        if not self._shared:
            return _shaped(processes.all_reduce_sum(torch.cat([tensor.flatten() for tensor in tensors])), tensors)
        # Rows 0 to count - 1 hold what each process has to add, and each writes to its own row only. Row `count` holds
        # the sum: each process adds up one share of the columns, from all rows, so that all cores work and no two
        # processes ever write to the same place.
        memory = self._memory[:, :total]
        torch._foreach_copy_(_shaped(memory[rank], tensors), list(tensors))
        processes.barrier()  # all rows are written: now they may be read
        share = memory[:, total * rank // count : total * (rank + 1) // count]
        torch.add(share[0], share[1], out=share[count])  # faster than a sum over the rows at once
        for row in share[2:count]:
            share[count] += row
        # All shares of the sum are written. They stay while they are read: at the next call each process overwrites its
        # own row, which nobody reads any more, and the sum only after that call's first barrier, when all are here
        # again and have done with it.
        processes.barrier()
        return _shaped(memory[count], tensors)


def _shaped(flat: torch.Tensor, like: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Consecutive pieces of a vector in the shapes of other tensors."""
    pieces = torch.split(flat, [tensor.numel() for tensor in like])
    return [piece.view(tensor.shape) for piece, tensor in zip(pieces, like, strict=True)]


def _common_memory(rows: int, columns: int) -> torch.Tensor | None:
    """float32 memory (rows, columns) that all processes of this machine see; it goes with the last that uses it.

    None, in every process, where the system keeps any of them from it.
    """
    file, path, memory = None, "", None
    if processes.is_rank_zero():  # a file without a name: nothing stays if all are killed
        file = os.memfd_create("omib")
        os.truncate(file, rows * columns * torch.float32.itemsize)
        path = f"/proc/{os.getpid()}/fd/{file}"  # the others find it through the first process
    path = processes.all_gather(path)[0]
    with suppress(OSError, RuntimeError):  # a hardened system shows no process the files of another
        memory = torch.from_file(path, shared=True, size=rows * columns, dtype=torch.float32).view(rows, columns)
    everywhere = all(processes.all_gather(memory is not None))  # after this all have it open: the name may go
    if file is not None:
        os.close(file)
    return memory if everywhere else None
