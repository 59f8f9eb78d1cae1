"""Progress on stderr: a bar on a terminal, otherwise a plain line now and then; written through ``console``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omib_cli.cli.console import is_dumb, remark
from omib_cli.errors import legible
from omib_cli.runtime.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PLAIN_SECONDS = 30.0
_MOST_FIGURES = 4
BAR_WIDTH = 20


@dataclass
class ShownPhase:
    """How far one phase is.

    Attributes
    ----------
    total
        Units that it has at most; None where that is unknown.
    done
        Units finished, those of an earlier run included.
    epochs
        How often the total goes through the samples; None where it does not.
    here
        Units finished in this run: the rate's numerator.
    """

    name: str
    total: int | None
    unit: str
    done: int
    epochs: int | None = None
    here: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """Seconds in this run."""
        return max(time.monotonic() - self.begun, 1e-9)

    @property
    def rate(self) -> float:
        """Units a second in this run."""
        return self.here / self.spent

    @property
    def pace(self) -> str:
        """The rate in words: units a second, or the time that one takes; nothing before the first is done."""
        if not self.here:
            return ""
        if self.rate < 1.0:
            return f"{clock(1.0 / self.rate)} a {self.unit.removesuffix('s')}"
        return f"{self.rate:,.{0 if self.rate >= 10.0 else 1}f} {self.unit}/s"

    @property
    def left(self) -> str:
        """Time left at this rate, or nothing where that is unknown."""
        if not self.total or not self.here:
            return ""
        return f"{clock((self.total - self.done) / self.rate)} left"

    @property
    def epoch(self) -> str:
        """The epoch that the last unit belongs to."""
        if not self.epochs or not self.total:
            return ""
        return f"epoch {max(1, -(-self.done * self.epochs // self.total))} of {self.epochs}"

    @property
    def latest(self) -> list[str]:
        """The latest figures, in words."""
        return [f"{name} {value:.4g}" for name, value in list(self.figures.items())[:_MOST_FIGURES]]

    @property
    def words(self) -> str:
        """Epoch, pace, latest figures and time left; computed when it is looked at, since time goes on by itself."""
        return " | ".join(part for part in (self.epoch, self.pace, *self.latest, self.left) if part)

    @property
    def outcome(self) -> str:
        """What it came to, and in what time; a phase that needed fewer units than it might have says so."""
        of = f" of at most {self.total:,}" if self.total is not None and self.done < self.total else ""
        return ", ".join([f"{self.done:,}{of} {self.unit} in {clock(self.spent)}", *self.latest])

    def __str__(self) -> str:
        share = f" of {self.total:,}" if self.total is not None else ""
        percent = f" ({100 * self.done // self.total} %)" if self.total else ""
        parts = [
            f"{self.name}: {self.done:,}{share} {self.unit}{percent}",
            self.epoch,
            self.pace,
            *self.latest,
            self.left,
        ]
        return ", ".join(part for part in parts if part)


class PlainLines:
    """A line every half minute, and one at the end of each phase, for logs."""

    def __init__(self, every: float = PLAIN_SECONDS) -> None:
        self._every = every
        self._next = 0.0

    def begin(self, phase: ShownPhase) -> None:
        """Say so only where an earlier run is continued."""
        self._next = time.monotonic() + self._every
        if phase.done:
            remark(f"{phase.name}: continuing at {phase.done:,} {phase.unit}")

    def advance(self, phase: ShownPhase) -> None:
        """Write a line if it is time."""
        if time.monotonic() >= self._next:
            remark(str(phase))
            self._next = time.monotonic() + self._every

    def end(self, phase: ShownPhase) -> None:
        """Write what it came to."""
        remark(f"{phase.name}: {phase.outcome}")

    def line(self, text: str, label: str) -> None:
        """A remark between the lines."""
        remark(text, label)

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class _Done:
    """What stands beside the bar of a phase that is complete."""

    words: str


class Bar:
    """One live bar per phase, on a terminal."""

    def __init__(self) -> None:
        self._live: RichProgress | None = None
        self._next = 0.0

    def begin(self, phase: ShownPhase) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self.close()
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=BAR_WIDTH),
            TaskProgressColumn(),
            TextColumn("{task.fields[phase].words}", markup=False),
        )
        self._live = RichProgress(*columns, console=Console(stderr=True, highlight=False), refresh_per_second=4)
        self._live.add_task(f"{phase.name:<12}", total=phase.total, completed=phase.done, phase=phase)
        self._live.start()

    def advance(self, phase: ShownPhase) -> None:
        """Move the bar, as often as an eye can follow."""
        if self._live is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.2
            self._live.update(self._live.task_ids[0], completed=phase.done)

    def end(self, phase: ShownPhase) -> None:
        """Leave the full bar on the screen, with what the phase came to: it is done, however early."""
        if self._live is not None:
            self._live.update(self._live.task_ids[0], total=1, completed=1, phase=_Done(phase.outcome))
        self.close()

    def line(self, text: str, label: str) -> None:
        """A remark above the bar."""
        if self._live is None:
            remark(text, label)
        else:
            self._live.console.print(f"{label}:{legible(text)}", markup=False, soft_wrap=True)

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class ConsoleProgress(Progress):
    """Shows a stage's events on stderr.

    Parameters
    ----------
    quiet
        Show warnings only.
    verbose
        Lines every five seconds where there is no terminal.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet = quiet
        plain = quiet or not sys.stderr.isatty() or is_dumb()
        self._display: Bar | PlainLines = PlainLines(5.0 if verbose else PLAIN_SECONDS) if plain else Bar()
        self._phase: ShownPhase | None = None

    def begin(
        self, phase: str, total: int | None, unit: str = "samples", done: int = 0, epochs: int | None = None
    ) -> None:
        """See :class:`~omib_cli.runtime.progress.Progress`."""
        self._phase = ShownPhase(phase, total, unit, done, epochs)
        if not self._quiet:
            self._display.begin(self._phase)

    def advance(self, count: int, **figures: float) -> None:
        """See :class:`~omib_cli.runtime.progress.Progress`."""
        if self._phase is None:
            return
        self._phase.done += count
        self._phase.here += count
        self._phase.figures.update(_latest(figures))
        if not self._quiet:
            self._display.advance(self._phase)

    def end(self) -> None:
        """See :class:`~omib_cli.runtime.progress.Progress`."""
        if self._phase is not None and not self._quiet:
            self._display.end(self._phase)
        self._phase = None

    def note(self, message: str) -> None:
        """See :class:`~omib_cli.runtime.progress.Progress`."""
        if not self._quiet:
            self._display.line(f"     {message}", "note")

    def warn(self, message: str) -> None:
        """See :class:`~omib_cli.runtime.progress.Progress`."""
        self._display.line(f"  {message}", "warning")

    def close(self) -> None:
        """Give the terminal back, whatever happened."""
        self._display.close()


def clock(seconds: float) -> str:
    """``0:05``, ``12:34`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _latest(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items() if value is not None}
