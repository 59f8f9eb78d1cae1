"""What training says of each epoch: means of its terms, one line of JSON in ``<out>.metrics.jsonl``.

The checkpoint gets the same rows.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from omib_cli.distributed import processes
from omib_cli.training.divergence import diverged


class EpochSums:
    """Sums over an epoch's steps of each term, by the samples of the step; they stay on the device."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._sums: torch.Tensor | None = None
        self._samples = 0

    def add(self, names: list[str], terms: torch.Tensor, samples: int) -> None:
        """Add a step's terms (T,), means over so many samples."""
        self.names = names
        self._sums = terms * samples if self._sums is None else self._sums + terms * samples
        self._samples += samples

    def means(self) -> dict[str, float]:
        """Each term's mean over the epoch's samples, by name."""
        return {} if self._sums is None else self._named((self._sums / self._samples).tolist())

    def must_be_finite(self, place: str, phase: str) -> None:
        """Refuse terms that are infinite or no numbers; waits for the device.

        Raises
        ------
        NumericError
            Names them.
        """
        if self._sums is None or math.isfinite(self._sums[0].item()):  # the total: no term is infinite without it
            return
        finite = self._named(torch.isfinite(self._sums).tolist())
        raise diverged(", ".join(name for name, good in finite.items() if not good), place, phase)

    def state(self) -> dict[str, Any]:
        """What :meth:`of` needs."""
        return {"names": self.names, "sums": self._sums, "samples": self._samples}

    @classmethod
    def of(cls, state: dict[str, Any], device: torch.device) -> EpochSums:
        """Continue from :meth:`state`."""
        made = cls()
        made.names, made._samples = state["names"], state["samples"]
        made._sums = None if state["sums"] is None else state["sums"].to(device)
        return made

    def _named(self, values: list[Any]) -> dict[str, Any]:
        return dict(zip(self.names, values, strict=True))


class MetricsLog:
    """The rows of a run; of several processes the first one writes them.

    Parameters
    ----------
    path
        The file; it is rewritten when a run continues, so that it holds each epoch once.
    before
        Rows of the phase before, which come first.
    """

    def __init__(self, path: Path, before: list[dict[str, Any]] | None = None) -> None:
        self.path = path
        self._before = before or []
        self.rows: list[dict[str, Any]] = []

    def start(self, rows: list[dict[str, Any]]) -> None:
        """Begin with the rows that a saved state knows."""
        self.rows = list(rows)
        self._rewrite()

    def add(self, row: dict[str, Any]) -> None:
        """Append a row."""
        self.rows.append(row)
        if not processes.is_rank_zero():
            return
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def mark_kept(self, phase: str, epoch: int) -> None:
        """Mark the epoch whose weights were kept."""
        self.rows = [{**row, "kept": row["phase"] == phase and row["epoch"] == epoch} for row in self.rows]
        self._rewrite()

    @property
    def history(self) -> list[dict[str, Any]]:
        """All rows, those of the phase before included."""
        return self._before + self.rows

    def _rewrite(self) -> None:
        if not processes.is_rank_zero():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(json.dumps(row) + "\n" for row in self.history))
