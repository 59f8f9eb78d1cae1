"""CPU time and memory of a table of text: ``python benchmarks/tables.py --folder tables``.

Each has a process of its own, in turn: `pandas.read_csv` as it comes, the reading that `omib prepare` does, and the
whole of `omib prepare` (joined with labels, searched for leaks, standardised, written). Targets for the latter two: at
most 2.5 times pandas' CPU time (of all threads), and at most twice the memory of the table's numbers in float64 beyond
what the imported libraries take; 2.25 times of 10,000 columns, whose small pieces the C library does not give back.
Prints a table in Markdown with the machine and the date; exits with 1 if a target is missed.
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

TARGET_TIMES = 2.5
TABLES = ((50_000, 450, None, 2.0), (50_000, 450, 4, 2.0), (2_000, 10_000, 4, 2.25))
"""Rows, columns, digits, and how many arrays of its size a table may take."""
MEASURE = """
import json, sys, time
from pathlib import Path
import h5py
import pandas as pd
import pyarrow.csv
from omib_cli.recipe.schema import recipe_model
from omib_cli.recipe.sources.common import LabelOptions
from omib_cli.recipe.sources.tables import TableOptions
from omib_cli.runtime.job import Job
from omib_cli.sources.table_files import Files
from omib_cli.sources.tables import TablesSource
from omib_cli.stages import prepare

def peak():
    status = Path("/proc/self/status").read_text()  # getrusage would tell of the process that started this one
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

path, reader = Path(sys.argv[1]), sys.argv[2]
table, labels = {"files": path.name, "id": "id"}, {"files": "labels-" + path.name, "id": "id", "column": "y"}
data = {"source": "tables", "tables": {"x": table}, "labels": labels, "split": {"by": "stratified"}}
recipe = recipe_model().model_validate({"name": "table", "data": data, "modalities": {"x": {}}})
before, begun = peak(), time.process_time()
if reader == "pandas":
    pd.read_csv(path)
elif reader == "reading":
    Files(path.parent).table(TableOptions(**table), LabelOptions(**labels))
else:
    prepare.run(recipe, path.parent, path.with_suffix(".h5"), Job(threads=1, fresh=True))
print(json.dumps([time.process_time() - begun, peak() - before]))
"""


def written(folder: Path, rows: int, columns: int, digits: int | None) -> Path:
    """A table of random numbers with ids and labels; ``digits`` behind the point, or all of them."""
    path = folder / f"{rows}-{columns}-{digits or 'all'}.csv"
    if not path.exists():
        values = np.random.default_rng(0).normal(size=(rows, columns))
        table = pd.DataFrame(values, columns=[f"g{column}" for column in range(columns)])
        table.insert(0, "id", [f"s{row}" for row in range(rows)])
        pd.DataFrame({"id": table["id"], "y": np.where(values[:, 0] > 0, "a", "b")}).to_csv(
            path.with_name(f"labels-{path.name}"), index=False
        )
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
    print("| table | | CPU s | times pandas | MiB | in arrays |")
    print(f"|{' --- |' * 6}")
    missed = False
    for rows, columns, digits, most in TABLES:
        path = written(options.folder, rows, columns, digits)
        found = {reader: [] for reader in ("pandas", "reading", "prepare")}
        for _ in range(options.repeats):
            for reader, runs in found.items():
                runs.append(measured(path, reader))
        for reader, runs in found.items():
            seconds, memory = np.median(runs, axis=0)
            ratio = median(own[0] / other[0] for own, other in zip(runs, found["pandas"], strict=True))
            arrays = memory / (rows * columns * 8 / 2**20)
            missed |= reader != "pandas" and (ratio > TARGET_TIMES or arrays > most)
            shown = f"{reader} | {seconds:.2f} | {ratio:.2f} | {memory:.0f} | {arrays:.2f}"
            print(f"| {rows:,} × {columns:,}, {digits or 'all'} digits | {shown} |", flush=True)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
