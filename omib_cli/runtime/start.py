"""What a stage does first of all where it computes with torch."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING

from omib_cli.distributed import processes
from omib_cli.runtime.job import Job
from omib_cli.runtime.machine import pick_device
from omib_cli.runtime.stop import STOP_SIGNALS

if TYPE_CHECKING:
    import torch


def prepare_torch(job: Job) -> torch.device:
    """Fix what makes a run repeatable, thread count and deterministic kernels, and meet the command's other processes.

    Returns the job's device, as :func:`~omib_cli.runtime.machine.pick_device`.

    Raises
    ------
    Interrupted
        A stop was asked for while waiting for the other processes.
    OmibError
        They cannot be met.
    """
    import torch

    torch.set_num_threads(job.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by deterministic cuBLAS
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms, without importing the compiler: 1.5 s
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a pass over every tensor
    _keep_freed_memory()
    device = pick_device(job.device)
    processes.initialise(device, stop=lambda: job.stop.reason, say=job.progress.note, signals=STOP_SIGNALS)
    return device


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed: a training step that gets its arrays from the kernel anew waits for their pages.

    Otherwise SIM-III at a batch of 128 has a thousand page faults a step.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, size in ((mmap_threshold, 2**25), (trim_threshold, 2**30), (top_pad, 2**26)):
            mallopt(parameter, size)
