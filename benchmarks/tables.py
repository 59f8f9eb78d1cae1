"""CPU time and memory of reading a table of text: ``python benchmarks/tables.py --folder /tmp/tables``.

Each reader has a process of its own, in turn: what `omib prepare` uses, and `pandas.read_csv` as it comes. Targets: the
reading takes at most 2.5 times pandas' CPU time (of all threads), and at most twice the array's memory beyond what the
imported libraries take. Prints a table in Markdown with the machine and the date; exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

TARGET_TIMES, TARGET_ARRAYS = 2.5, 2.0
MEASURE = """
import json, sys, time
from pathlib import Path
import pandas as pd
import pyarrow.csv
from omib_cli.recipe.sources.common import LabelOptions
from omib_cli.recipe.sources.tables import TableOptions
from omib_cli.sources.table_files import Files

def peak():
    status = Path("/proc/self/status").read_text()  # getrusage would tell of the process that started this one
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

path, reader = Path(sys.argv[1]), sys.argv[2]
before, begun = peak(), time.process_time()
if reader == "pandas":
    pd.read_csv(path)
else:
    labels = LabelOptions(files=path.name, id="id", column="y")
    Files(path.parent).table(TableOptions(files=path.name, id="id"), labels)
print(json.dumps([time.process_time() - begun, peak() - before]))
"""


def written(folder: Path, rows: int, columns: int, digits: int | None) -> Path:
    """A table of random numbers with ids; ``digits`` behind the point, or all of them."""
    path = folder / f"{rows}-{columns}-{digits or 'all'}.csv"
    if not path.exists():
        values = np.random.default_rng(0).normal(size=(rows, columns))
        table = pd.DataFrame(values, columns=[f"g{column}" for column in range(columns)])
        table.insert(0, "id", [f"s{row}" for row in range(rows)])
        (table if digits is None else table.round(digits)).to_csv(path, index=False)
    return path


def measured(path: Path, reader: str) -> list[float]:
    """CPU seconds of all threads, and MiB of memory beyond the libraries."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), reader], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="outside the repository; half a gigabyte")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"{platform.machine()}, {os.cpu_count()} cores, pandas {pd.__version__}, {datetime.now(UTC):%Y-%m-%d}\n")
    print("| table | pandas, CPU s | omib, CPU s | ratio | pandas, MiB | omib, MiB | in arrays |")
    print(f"|{' --- |' * 7}")
    missed = False
    for rows, columns, digits in ((50_000, 450, None), (50_000, 450, 4), (2_000, 10_000, 4)):
        path = written(options.folder, rows, columns, digits)
        found = {reader: [] for reader in ("pandas", "omib")}
        for _ in range(options.repeats):
            for reader, runs in found.items():
                runs.append(measured(path, reader))
        (theirs, their_memory), (ours, our_memory) = (np.median(runs, axis=0) for runs in found.values())
        ratio = median(own[0] / other[0] for own, other in zip(found["omib"], found["pandas"], strict=True))
        arrays = our_memory / (rows * columns * 8 / 2**20)
        missed |= ratio > TARGET_TIMES or arrays > TARGET_ARRAYS
        shown = f"{theirs:.2f} | {ours:.2f} | {ratio:.2f} | {their_memory:.0f} | {our_memory:.0f} | {arrays:.2f}"
        print(f"| {rows:,} × {columns:,}, {digits or 'all'} digits | {shown} |", flush=True)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
