"""What processes settle together after each step: gradients, logged terms, and whether to save or to stop."""

from __future__ import annotations

import torch

from omib_cli.artifacts.partial import Partial
from omib_cli.distributed import processes
from omib_cli.distributed.exchange import Exchange
from omib_cli.runtime.job import Job
from omib_cli.training.model import MultimodalModel


class Agreement:
    """One message a step, after which all processes do the same; alone, a process only asks itself.

    Parameters
    ----------
    partial, job
        Say whether the state is due to be saved, and whether to stop.
    writes_to_gradients
        Whether what follows changes gradients in place (clipping): sums of the exchange may only be read.
    """

    def __init__(self, model: MultimodalModel, partial: Partial, job: Job, *, writes_to_gradients: bool) -> None:
        self._model, self._partial, self._job = model, partial, job
        self._device = next(model.parameters()).device
        self._exchange = Exchange(self._device)
        self._writes_to_gradients = writes_to_gradients

    def after_step(self, terms: torch.Tensor, *, look: bool) -> tuple[torch.Tensor, bool]:
        """Sum gradients and terms (T,) over the processes; the sums, and whether the state is to be saved now.

        ``look`` is whether wishes are looked at in this step, which waits for the device.
        """
        if processes.world_size() == 1:
            return terms, self._partial.due
        trained = [(p, p.grad) for p in self._model.parameters() if p.grad is not None]
        *sums, terms, wishes = self._exchange.sums([*(gradient for _, gradient in trained), terms, self._wishes()])
        for (parameter, _), total in zip(trained, sums, strict=True):
            parameter.grad = total.clone() if self._writes_to_gradients else total
        return terms, look and self._heed(wishes)

    def share_buffers(self) -> None:
        """Take rank zero's running statistics (batch norm's), of which each process has those of its own rows."""
        for buffer in self._model.buffers():
            processes.broadcast(buffer)

    def after_epoch(self) -> bool:
        """Whether the state is to be saved now."""
        return self._heed(processes.all_reduce_sum(self._wishes()))

    def _wishes(self) -> torch.Tensor:
        """Whether this process wants to save, and to stop, as numbers that can be summed."""
        wishes = [float(self._partial.due), float(self._job.stop.reason is not None)]
        return torch.tensor(wishes, device=self._device)

    def _heed(self, wishes: torch.Tensor) -> bool:
        """Whether any process wants to save or to stop, from the sum of their wishes; one that stops stops all."""
        save, stop = wishes.tolist()
        if stop:
            self._job.stop.set("another process was asked to stop")
        return bool(save or stop)
