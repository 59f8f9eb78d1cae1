"""What is said when training runs away to infinity."""

from __future__ import annotations

from omib_cli.errors import NumericError


def diverged(what: str, place: str, phase: str) -> NumericError:
    """The error for something that is no finite number, found at a place (epoch and step) of a phase."""
    return NumericError(
        f"training diverged: {what} is not a finite number",
        where=place,
        do=f"a smaller {phase}.optimiser.lr, or {phase}.clip: 1.0",
    )
