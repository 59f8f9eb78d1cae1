"""Progress events: loops report, ``cli.console`` shows; nothing else writes to the terminal."""

from __future__ import annotations


class Progress:
    """Receives the events of a stage. This base class swallows them; the console's subclass shows them."""

    def begin(
        self, phase: str, total: int | None, unit: str = "samples", done: int = 0, epochs: int | None = None
    ) -> None:
        """Start a phase of at most ``total`` units of which ``done`` are already there (a resumed run).

        Where it goes through its samples several times, ``epochs`` is how often, and ``total`` counts them all.
        """

    def advance(self, count: int, **figures: float) -> None:
        """Count ``count`` further units (0 where there is only something to tell).

        ``figures`` are the latest losses or estimates, by name; each stands until there is a newer one.
        """

    def end(self) -> None:
        """The phase is complete, though perhaps after fewer units than it was to have at most."""

    def note(self, message: str) -> None:
        """Say something worth knowing."""

    def warn(self, message: str) -> None:
        """Say something that limits what the result is worth."""
