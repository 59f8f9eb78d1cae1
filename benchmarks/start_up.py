"""Wall time of every command's help, and of ``omib train`` up to its first step: ``python benchmarks/start_up.py``.

Targets: a median of at most 0.35 s for each help; to the first step of SIM-I at most 1.5 times what ``import torch``
takes alone, measured in turn. Prints tables in Markdown with the machine and the date; exits with 1 where a target is
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
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


TARGET_TIMES = 1.5
FIRST_STEP = """
import time
begun = time.perf_counter()
import json, os, sys
import omib_cli.stages.train as stage
from omib_cli.training.step import Step
marks = {"imports": time.perf_counter() - begun}
read_splits = stage.read_splits

def read(*arguments):
    marks["opening"] = time.perf_counter() - begun - marks["imports"]
    found = read_splits(*arguments)
    marks["reading"] = time.perf_counter() - begun - sum(marks.values())
    return found

def first_step(self, *arguments):
    marks["building"] = time.perf_counter() - begun - sum(marks.values())
    print(json.dumps(marks), flush=True)
    os._exit(0)

stage.read_splits, Step.gradients = read, first_step
from omib_cli.cli import app
app.main(sys.argv[1:])
"""


def first_step(repeats: int) -> float:
    """Print the parts of the time to the first step; returns the ratio of the whole to ``import torch``."""
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "sim.h5")
        subprocess.run(
            [sys.executable, "-m", "omib_cli", "simulate", "--case", "i", "--out", data, "--quiet"], check=True
        )
        words = ["train", data, "--out", str(Path(folder) / "model.safetensors"), "--set", "warmup.epochs=0", "--quiet"]
        words += ["--set", 'beta={"policy": "value", "value": 0.02}']
        parts: list[dict[str, float]] = []
        whole, torch_alone = [], []
        for _ in range(repeats + 1):
            begun = time.perf_counter()
            found = subprocess.run(
                [sys.executable, "-c", FIRST_STEP, *words], capture_output=True, text=True, check=True
            )
            middle = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import torch"], check=True)
            whole.append(middle - begun)
            torch_alone.append(time.perf_counter() - middle)
            parts.append(json.loads(found.stdout))
    mid = {name: median(each[name] for each in parts[1:]) for name in parts[0]}
    ratio = median(whole[1:]) / median(torch_alone[1:])
    print("\n| to the first step of SIM-I, s | import torch, s | ratio | " + " | ".join(mid) + " |")
    print(f"|{' --- |' * (3 + len(mid))}")
    shown = " | ".join(f"{seconds:.3f}" for seconds in mid.values())
    print(f"| {median(whole[1:]):.2f} | {median(torch_alone[1:]):.2f} | {ratio:.2f} | {shown} |")
    return ratio


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
    ratio = first_step(repeats)
    sys.exit(slow or ratio > TARGET_TIMES)


if __name__ == "__main__":
    main()
