"""What a stage is told apart from recipe and files: the device, how to hear of a stop, whom to tell its progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from omib_cli.runtime.machine import granted_threads
from omib_cli.runtime.progress import Progress
from omib_cli.runtime.stop import StopFlag


@dataclass
class Job:
    """The circumstances of one command.

    Attributes
    ----------
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
    threads
        CPU threads for torch; by default what the scheduler grants.
    compile
        Whether to have torch compile the step.
    memory
        Most bytes that samples may take in memory at once; None takes a share of what is available.
    fresh
        Start over instead of continuing or reporting "done".
    save_every
        Seconds between saves of the resumable state.
    after_epoch
        Told the row of each epoch, as the log of metrics has it; ends the training by raising an error.
    """

    device: str = "auto"
    threads: int = field(default_factory=granted_threads)
    compile: bool = False
    memory: int | None = None
    fresh: bool = False
    save_every: float = 20.0
    stop: StopFlag = field(default_factory=StopFlag)
    progress: Progress = field(default_factory=Progress)
    after_epoch: Callable[[Mapping[str, Any]], None] | None = None
    command: str = field(default_factory=lambda: " ".join(["omib", *sys.argv[1:]]))
