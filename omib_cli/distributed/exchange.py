"""Sums of many tensors over all processes, again and again: the gradients of every step.

Processes of one machine that compute on its CPU have memory in common, which they add up in: a message through gloo
takes several times as long, and on the same cores. Others send one message.
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
        if self._shared and total > self._memory.shape[1]:
            found = _common_memory(count + 1, total)
            self._shared, self._memory = found is not None, self._memory if found is None else found
        if not self._shared:
            return _shaped(processes.all_reduce_sum(torch.cat([tensor.flatten() for tensor in tensors])), tensors)
        memory = self._memory[:, :total]
        torch._foreach_copy_(_shaped(memory[rank], tensors), list(tensors))
        processes.barrier()  # what all have to add is there
        part = memory[:, total * rank // count : total * (rank + 1) // count]
        torch.add(part[0], part[1], out=part[count])  # faster than a sum over the rows at once
        for row in part[2:count]:
            part[count] += row
        processes.barrier()  # all parts of the sum are there, and stay until all are here again
        return _shaped(memory[count], tensors)


def _shaped(flat: torch.Tensor, like: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Consecutive pieces of a vector in the shapes of other tensors."""
    pieces = torch.split(flat, [tensor.numel() for tensor in like])
    return [piece.view(tensor.shape) for piece, tensor in zip(pieces, like, strict=True)]


def _common_memory(rows: int, columns: int) -> torch.Tensor | None:
    """float32 memory (rows, columns) that all processes of this machine see, gone with the last that uses it.

    None where the system keeps them from each other.
    """
    file, path, memory = None, "", None
    if processes.is_rank_zero():
        file = os.memfd_create("omib")
        os.truncate(file, rows * columns * torch.float32.itemsize)
        path = f"/proc/{os.getpid()}/fd/{file}"
    path = processes.all_gather(path)[0]
    with suppress(OSError, RuntimeError):
        memory = torch.from_file(path, shared=True, size=rows * columns, dtype=torch.float32).view(rows, columns)
    everywhere = all(processes.all_gather(memory is not None))
    if file is not None:
        os.close(file)
    return memory if everywhere else None
