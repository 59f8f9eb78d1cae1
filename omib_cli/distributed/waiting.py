"""Leaving while a message waits for a process that does not answer.

torch waits for the others' messages in C++, where Python's signal handlers are not run: a process whose peer hangs, but
keeps its connection, would neither hear SIGTERM nor see that its time is over. A thread hears and ends it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from omib_cli.errors import Interrupted

PATIENCE_SECONDS = 10.0
"""How long one message may still take once a stop was asked for; clusters kill some 30 s after they have asked."""
POLL_SECONDS = 0.5
INTERRUPTED = 130
"""Exit code after SIGINT."""

_entered: float | None = None
"""When the message that this process is in was begun; None outside."""


@contextmanager
def message() -> Iterator[None]:
    """Around each message to the other processes."""
    global _entered
    _entered = time.monotonic()
    try:
        yield
    finally:
        _entered = None


def watch(stop: Callable[[], str | None], signals: Sequence[str]) -> None:
    """Begin to hear SIGINT, ``signals`` (names), and the clock that ``stop`` reads, for as long as this process lives.

    A stop that was asked for is left to the loops, which save their state, unless one message lasts longer than
    ``PATIENCE_SECONDS`` afterwards. Signals are heard in the main thread only; elsewhere the clock alone.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # written to in C, whatever Python is waiting for
    threading.Thread(target=_hear, args=(reader, stop, signals), daemon=True).start()


def _hear(reader: int, stop: Callable[[], str | None], signals: Sequence[str]) -> None:
    """Wait for a stop, then for the end of the program or of the patience."""
    codes = {getattr(signal, name): Interrupted.exit_code for name in signals if hasattr(signal, name)}
    codes[signal.SIGINT] = INTERRUPTED
    asked, code, reason = None, Interrupted.exit_code, "a signal"
    while True:
        heard = os.read(reader, 64) if select.select([reader], [], [], POLL_SECONDS)[0] else b""
        now = time.monotonic()
        for number in (signal.Signals(number) for number in heard if number in codes):
            asked, code, reason = asked or now, codes[number], number.name
        if asked is None and (why := stop()) is not None:
            asked, reason = now, why
        if asked is not None and _entered is not None and now - max(asked, _entered) > PATIENCE_SECONDS:
            error = Interrupted(
                f"stopped ({reason}); another process of this command does not answer",
                do="see what it does; the same command continues from the state saved last",
            )
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
            os._exit(code)  # nothing else ends a thread that waits in C++
