"""``run.json``: how a run of the whole chain went, and what it took; kept beside its artifacts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from omib_cli.artifacts.files import replacing

RECORD_FILE = "run.json"


@dataclass
class RunRecord:
    """What became of a run.

    Attributes
    ----------
    recipe_hash
        Of the recipe that it is a run of.
    state
        ``done``, ``stopped`` (run again to continue), ``failed``, ``pruned`` (a trial of a search), or ``new``.
    reason
        Why it stopped, failed or was pruned.
    seconds
        Wall time, summed over all that a run that was continued took; without ``shared_seconds``.
    peak_mib
        The largest resident memory on the way.
    shared_seconds
        Wall time beside that, of making artifacts that other runs use too, or of waiting for one that makes them. None
        in a record that did not tell it apart: its ``seconds`` have both.
    input
        What was read, path and content (:mod:`omib_cli.stages.source_files`); nothing of simulated data.
    """

    recipe_hash: str
    state: str = "new"
    reason: str = ""
    seconds: float = 0.0
    peak_mib: float = 0.0
    shared_seconds: float | None = None
    input: str = ""

    @classmethod
    def of(cls, folder: Path, recipe_hash: str) -> RunRecord:
        """The record in a folder if it is of this recipe; a new one otherwise, or where it cannot be read."""
        try:
            found = cls(**json.loads((folder / RECORD_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return cls(recipe_hash)
        return found if found.recipe_hash == recipe_hash else cls(recipe_hash)

    def add(self, state: str, seconds: float, peak_mib: float, reason: str = "", shared: float = 0.0) -> RunRecord:
        """Note how the run went on, and what that took, by itself and for what it shares."""
        if self.shared_seconds is not None or not self.seconds:
            self.shared_seconds = round((self.shared_seconds or 0.0) + shared, 3)
        self.state, self.reason = state, reason
        self.seconds = round(self.seconds + seconds, 3)
        self.peak_mib = round(max(self.peak_mib, peak_mib), 1)
        return self

    def write(self, folder: Path) -> None:
        """Replace the folder's record."""
        with replacing(folder / RECORD_FILE) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
