"""Devices, threads and memory that are really there: what Slurm or the cgroup grants, not what the node has."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.distributed import processes
from omib_cli.errors import UsageError

if TYPE_CHECKING:
    import torch


def granted_threads() -> int:
    """CPU threads this process may use: Slurm's grant, else the cgroup's quota, else its affinity (at least 1).

    The processes of one command on one machine divide them.
    """
    return max(1, _all_granted_threads() // processes.local_world_size())


def _all_granted_threads() -> int:
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdigit() and int(slurm) > 0:
        return int(slurm)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(available, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or quota "max"
        return max(1, available)


MEMORY_SHARE = 0.5
"""Of the memory that is available, what samples may take."""


def memory_for_samples() -> int:
    """Bytes that samples may take in this process unless it is told; processes of one command divide what there is."""
    return int(MEMORY_SHARE * available_memory() / processes.local_world_size())


def available_memory() -> int:
    """Bytes that this process may still take: what is free, what the cgroup leaves, what Slurm grants a node."""
    bounds = [found for found in (_free_memory(), _cgroup_memory(), _slurm_memory()) if found is not None]
    return min(bounds, default=2**32)


def _free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):  # no Linux
        return None


def _cgroup_memory() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        used = int((folder / "memory.current").read_text())
        cached = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, int((folder / "memory.max").read_text()) - used + int(cached["inactive_file"]))
    except (OSError, ValueError, KeyError):  # no cgroup v2, or limit "max"
        return None


def _slurm_memory() -> int | None:
    """In Slurm's MiB, of the node or else of each CPU; 0 stands for all of it."""
    node, each = os.environ.get("SLURM_MEM_PER_NODE", ""), os.environ.get("SLURM_MEM_PER_CPU", "")
    if node.isdigit() and int(node) > 0:
        return int(node) * 2**20
    return int(each) * _all_granted_threads() * 2**20 if each.isdigit() and int(each) > 0 else None


def memory_size(text: str) -> int:
    """``512M``, ``1.5G``, ``2GiB``, in binary units, as bytes.

    Raises
    ------
    UsageError
        It is not of that form.
    """
    found = re.fullmatch(r"([0-9]+|[0-9]*\.[0-9]+)([KMGT]?)(iB|B)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise UsageError(f"--memory {text} is not a size", expected="a number with a unit: 512M, 1.5G")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def peak_memory_mib() -> float:
    """Peak resident memory of this process so far, in MiB (0 where the platform does not say)."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0) if sys.platform == "darwin" else peak / 1024.0


_DEVICE = re.compile(r"(cpu|cuda|mps)(?::(0|[1-9][0-9]*))?")


def pick_device(name: str) -> torch.device:
    """The torch device for ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.

    Raises
    ------
    UsageError
        The name is none of these, or the machine has no such device.
    """
    must_be_a_device(name)
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and processes.local_world_size() > 1:
        name = f"cuda:{processes.local_rank()}"
    kind, _, index = name.partition(":")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(index or 0) >= count:
        raise UsageError(
            f"--device {name} is not there",
            got=f"{count} {kind} device(s) visible to torch {torch.__version__}",
            do="use --device cpu, or ask the scheduler for a GPU",
        )
    return torch.device(name)


def must_be_a_device(name: str) -> None:
    """Refuse what is the name of no device; whether this machine has it, :func:`pick_device` says.

    Raises
    ------
    UsageError
        It is none.
    """
    if name != "auto" and _DEVICE.fullmatch(name) is None:
        raise UsageError(f"--device {name} is not a device", expected="auto, cpu, cuda, cuda:N or mps")
