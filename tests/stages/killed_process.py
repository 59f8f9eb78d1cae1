"""Trains in one of several processes, the last of which may SIGKILL itself; the first prints the hash.

    torchrun killed_process.py RECIPE DATASET OUT STEPS

The last process ends after so many steps, before it has told the others; 0 for never. State is saved at every step.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from killed import KillAfter, job

from omib_cli.distributed import processes
from omib_cli.recipe.load import load_recipe
from omib_cli.runtime.progress import Progress
from omib_cli.stages import train


def main() -> None:
    recipe, dataset, out, steps = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, to those that are left: they are to find out themselves
    last = processes.rank() == processes.world_size() - 1
    found = train.run(load_recipe(recipe), Path(dataset), Path(out), job(KillAfter(int(steps)) if last else Progress()))
    if processes.is_rank_zero():
        print(found.hash)
    processes.shut_down()


if __name__ == "__main__":
    main()
