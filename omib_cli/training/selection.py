"""Which epoch's weights are kept: the last one's, or those of the lowest validation loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from omib_cli.recipe.phases import PhaseOptions

Weights = dict[str, torch.Tensor]


class Selection:
    """Remembers the best weights so far, and when patience is at its end."""

    def __init__(self, options: PhaseOptions) -> None:
        self._options = options
        self._loss = float("inf")
        self._epoch = 0
        self._weights: Weights | None = None
        self.over = False

    def see(self, epoch: int, loss: float, weights: Callable[[], Weights]) -> None:
        """Compare an epoch (from 1) by its validation loss; of equal losses the earlier epoch is kept."""
        if self._options.select != "validation":
            return
        if loss < self._loss:
            self._loss, self._epoch, self._weights = loss, epoch, weights()
        elif self._options.patience is not None and epoch - self._epoch >= self._options.patience:
            self.over = True

    def choose(self, last: int, weights: Callable[[], Weights]) -> tuple[int, Weights]:
        """The epoch that is kept and its weights; ``last`` and ``weights`` are those at the end."""
        return (last, weights()) if self._weights is None else (self._epoch, self._weights)

    def state(self) -> dict[str, Any]:
        """What :meth:`load` needs."""
        return {"loss": self._loss, "epoch": self._epoch, "weights": self._weights, "over": self.over}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self._loss, self._epoch = state["loss"], state["epoch"]
        self._weights, self.over = state["weights"], state["over"]
