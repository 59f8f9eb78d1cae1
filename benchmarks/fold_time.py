"""CPU time of a cross-validation beside that of runs in processes of their own: ``python benchmarks/fold_time.py``.

    python benchmarks/fold_time.py rosmap ../shared/data/rosmap --folds 5 --repeats 3 --threads 1

The folds of a cross-validation share a process, which loads torch once. Prints the CPU seconds (user and system, of all
processes) of the whole command without references, by fold, and their ratio to as many ``omib run`` of one fold,
of which one is measured. Options after ``--`` go to both commands: ``-- --set information.estimator=saturation``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("input", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("more", nargs="*", help="options of omib")
    return parser.parse_args()


def cpu_seconds(words: list[str]) -> float:
    """User and system time of a command of omib."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "omib_cli", *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure both, print."""
    asked = arguments()
    common = ["--input", str(asked.input), *asked.more]
    common += [] if asked.threads is None else ["--threads", str(asked.threads)]
    fold = json.dumps({"number": 1, "folds": asked.folds, "repeat": 1})
    count = asked.folds * asked.repeats
    with tempfile.TemporaryDirectory() as folder:
        words = ["cross-validate", asked.recipe, "--folds", str(asked.folds), "--repeats", str(asked.repeats)]
        whole = cpu_seconds([*words, "--references", "none", "--out", f"{folder}/whole", *common])
        words = ["run", asked.recipe, "--no-report", "--set", f"data.split.fold={fold}", "--out", f"{folder}/one"]
        one = cpu_seconds([*words, *common])
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, {datetime.now(UTC):%Y-%m-%d}")
    print(
        f"{asked.recipe}, {asked.folds} folds, {asked.repeats} repeats: {whole:.1f} CPU s, {whole / count:.2f} a fold"
    )
    print(f"one run in a process of its own: {one:.1f} CPU s; ratio of so many to the whole: {one * count / whole:.2f}")


if __name__ == "__main__":
    main()
