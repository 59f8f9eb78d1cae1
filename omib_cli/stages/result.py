"""What a stage returns to whoever called it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omib_cli.artifacts.provenance import Provenance


@dataclass(frozen=True)
class StageResult:
    """A finished artifact.

    Attributes
    ----------
    figures
        The few numbers worth a line on the terminal, by name.
    already_there
        The artifact was up to date and nothing was done.
    """

    out: Path
    kind: str
    hash: str
    figures: dict[str, Any] = field(default_factory=dict)
    already_there: bool = False

    @classmethod
    def of(cls, out: Path, provenance: Provenance, *, already_there: bool = False, **figures: Any) -> StageResult:
        """A result from the artifact's own description; a finished artifact keeps its figures in its notes."""
        shown = figures or provenance.notes.get("figures", {})
        return cls(out, provenance.kind, provenance.hash, shown, already_there)
