"""Runs a stage in child processes that SIGKILL themselves at random steps, then to its end; prints the two hashes.

A program of its own: python killed.py STAGE FOLDER. One process imports everything and forks the children.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

from small import small_recipe, toy_dataset

from omib_cli.data import order
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages import estimate_mi, train, warmup

KILLS = 5


class KillAfter(Progress):
    """Ends the process without warning after so many progress events."""

    def __init__(self, events: int) -> None:
        self.events = events

    def advance(self, count, **figures):
        self.events -= 1
        if self.events == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Count(Progress):
    events = 0

    def advance(self, count, **figures):
        self.events += 1


def job(progress: Progress) -> Job:
    """One that saves its state at nearly every step."""
    return Job(device="cpu", threads=1, command="test", save_every=0.002, progress=progress)


def stages(folder: Path):
    """By name: a function of (out, job)."""
    encoder = {"kind": "mlp", "hidden": [16], "width": 8, "dropout": 0.2}
    recipe = small_recipe(
        modalities={"x1": {"encoder": encoder}, "x2": {"encoder": encoder}},
        warmup={"epochs": 6, "batch": 16, "average": 0.9, "select": "validation"},
        train={"epochs": 5, "batch": 16, "average": 0.9, "select": "validation"},
        information={"epochs": 6, "seeds": 2, "batch": 32, "hidden": [16], "least_steps": 1},
    )
    dataset = toy_dataset(folder / "dataset.h5")
    ready = warmup.run(recipe, dataset, folder / "ready.safetensors", job(Progress())).out
    return {
        "warmup": lambda out, job: warmup.run(recipe, dataset, out, job),
        "train": lambda out, job: train.run(recipe, dataset, out, job, warmup=ready),
        "estimate-mi": lambda out, job: estimate_mi.run(recipe, dataset, out, job),
        "train-from-disk": lambda out, job: train.run(recipe, dataset, out, from_disk(job), warmup=ready),
    }


def from_disk(job: Job) -> Job:
    """With memory for two windows of 12 samples."""
    order.PIECE_BYTES, order.PIECES, job.memory = 3 * 48, 4, 2000
    return job


def main() -> None:
    stage = stages(folder := Path(sys.argv[2]))[sys.argv[1]]
    whole = Count()
    expected = stage(folder / "whole", job(whole)).hash
    moments = random.Random(7)
    killed = 0
    for _ in range(KILLS):
        if (child := os.fork()) == 0:
            stage(folder / "pieces", job(KillAfter(moments.randint(1, max(2, whole.events // KILLS)))))
            os._exit(0)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    print(expected, stage(folder / "pieces", job(Progress())).hash, killed)


if __name__ == "__main__":
    main()
