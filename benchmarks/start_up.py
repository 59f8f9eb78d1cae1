"""Wall time of every command's help: ``python benchmarks/start_up.py`` (target: a median of at most 0.35 s each).

Prints a table in Markdown with the machine and the date; exits with 1 where a command misses the target.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from statistics import median

TARGET_SECONDS = 0.35
COMMANDS = (
    "",
    "simulate",
    "prepare",
    "estimate-mi",
    "warmup",
    "train",
    "embed",
    "evaluate",
    "run",
    "compare",
    "sweep",
    "inspect",
    "recipe",
)


def seconds(command: str) -> float:
    """Wall time of one ``omib COMMAND --help``."""
    begun = time.perf_counter()
    arguments = [sys.executable, "-m", "omib_cli", *command.split(), "--help"]
    subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="runs of each command, after one to warm the disk")
    repeats = parser.parse_args().repeats
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"{datetime.now(UTC):%Y-%m-%d}\n\n| command | median s | slowest s |\n| --- | --- | --- |")
    slow = False
    for command in COMMANDS:
        seconds(command)
        found = [seconds(command) for _ in range(repeats)]
        slow |= median(found) > TARGET_SECONDS
        print(f"| omib {command} --help | {median(found):.3f} | {max(found):.3f} |")
    sys.exit(slow)


if __name__ == "__main__":
    main()
