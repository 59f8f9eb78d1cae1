"""``<out>.metrics.jsonl``: one line of JSON per epoch, as training goes; the checkpoint gets the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omib_cli.distributed import processes


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
