"""The stop flag that every long loop reads.

A signal handler does nothing but set the flag; the loop saves its state at the next step and
raises :class:`~omib_cli.errors.Interrupted` (exit code 75: run the same command again).
"""

from __future__ import annotations

import signal
import time
from types import FrameType

from omib_cli.errors import Interrupted

STOP_SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")


class StopFlag:
    """Set by SIGTERM, SIGUSR1, SIGUSR2 or by the clock of ``--max-minutes``.

    Parameters
    ----------
    max_minutes
        Minutes after which the flag counts as set; None for no limit.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self._reason: str | None = None
        self._minutes = max_minutes
        self._deadline = None if max_minutes is None else time.monotonic() + 60.0 * max_minutes

    def listen(self) -> None:
        """Install the handlers; platforms without one of the signals skip it."""
        for name in STOP_SIGNALS:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)

    def set(self, reason: str) -> None:
        """Ask every loop to save and stop."""
        self._reason = self._reason or reason

    @property
    def reason(self) -> str | None:
        """Why to stop, or None to go on."""
        if self._reason is None and self._deadline is not None and time.monotonic() >= self._deadline:
            self._reason = f"--max-minutes {self._minutes:g} reached"
        return self._reason

    def interruption(self, saved_in: object) -> Interrupted:
        """The error that a loop raises once its state is saved."""
        return Interrupted(
            f"stopped ({self.reason}); the state is saved",
            where=saved_in,
            do="run the same command again to continue from here",
        )

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.set(signal.Signals(number).name)
