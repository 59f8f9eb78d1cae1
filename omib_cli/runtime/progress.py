"""Progress events: loops report, ``cli.console`` shows; nothing else writes to the terminal."""

from __future__ import annotations


class Progress:
    """Receives the events of a stage. This base class swallows them; the console's subclass shows them."""

    def begin(self, phase: str, total: int | None, unit: str = "samples", done: int = 0) -> None:
        """Start a phase of ``total`` units of which ``done`` are already there (a resumed run)."""

    def advance(self, count: int, **figures: float) -> None:
        """Count ``count`` further units; ``figures`` are the latest losses or estimates, by name."""

    def end(self) -> None:
        """The phase is complete."""

    def note(self, message: str) -> None:
        """Say something worth knowing."""

    def warn(self, message: str) -> None:
        """Say something that limits what the result is worth."""
