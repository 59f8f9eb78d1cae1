"""Runs a command in child processes that SIGKILL themselves at random moments, then to its end.

A program of its own: python killed_search.py tune|cross-validate FOLDER. It prints one line of JSON: how many were
killed, what the disturbed and the undisturbed command found, and whether anything that was done was done again. One
process imports everything and forks the children.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from tuning_data import omib, trials, words, write_all

KILLS = 4
MORE = {"tune": ["--trials", "8", "--again", "1"], "cross-validate": ["--folds", "2", "--tuned", "3", "--inner", "2"]}


def main() -> None:
    command, folder = sys.argv[1], Path(sys.argv[2])
    files = write_all(folder)

    def run(out: Path) -> float:
        begun = time.monotonic()
        assert omib(*words(files, out, *MORE[command], command=command)) == 0
        return time.monotonic() - begun

    run(folder / "first")  # what is imported once is not waited for again
    whole = run(folder / "whole")
    moments, killed = random.Random(3), 0
    for _ in range(KILLS):
        if (child := os.fork()) == 0:
            threading.Timer(moments.uniform(0.1, 0.5) * whole, os.kill, (os.getpid(), signal.SIGKILL)).start()
            run(folder / "pieces")
            os._exit(0)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    before = done(folder / "pieces")
    run(folder / "pieces")
    after = done(folder / "pieces")
    again = [str(path) for path, stamp in before.items() if after[path] != stamp]
    found = {name: results(folder / name, command) for name in ("whole", "pieces")}
    print(json.dumps({"killed": killed, "again": again, **found}))


def done(out: Path) -> dict[Path, int]:
    """When each run that is done was noted as done."""
    records = [path for path in out.rglob("run.json") if json.loads(path.read_text())["state"] == "done"]
    return {path: path.stat().st_mtime_ns for path in records}


def results(out: Path, command: str) -> object:
    """What a command found, without times."""
    if command == "tune":
        return [trials(out), (out / "rows-tuned.yaml").read_text().partition("\n")[2]]
    return (out / "rows" / "predictions.csv").read_text()


if __name__ == "__main__":
    main()
