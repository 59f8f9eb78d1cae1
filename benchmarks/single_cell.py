"""Counts of single cells: what `omib prepare` takes beside scanpy, which holds the same file in memory.

    python benchmarks/single_cell.py --cells 8000 --genes 18000 --out /scratch/cells

Makes an h5ad file of simulated counts (negative binomial, four kinds of cells, CSR, float32, not compressed; it is kept
and used again), then, each in a process of its own and one after the other: `omib prepare` to 2,000 highly variable
genes; scanpy reading the file, normalising, taking logarithms and choosing as many. Prints a Markdown table of CPU
seconds, seconds and the largest resident set, and the ratio of CPU seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

TOP = 2000
RECIPE = """\
name: cells
data:
  source: tables
  tables:
    rna:
      files: {file}
      preprocess:
        - {{kind: library-size}}
        - {{kind: log1p}}
        - {{kind: select, by: highly-variable, top: {top}}}
  labels: {{files: labels.csv, id: id, column: kind}}
  split: {{by: stratified, test: 0.2}}
  constant: drop
modalities: {{rna: {{}}}}
task: {{kind: classification}}
"""
SCANPY = """\
import sys
import scanpy as sc
data = sc.read_h5ad(sys.argv[1])
sc.pp.normalize_total(data)
sc.pp.log1p(data)
sc.pp.highly_variable_genes(data, n_top_genes=int(sys.argv[2]), flavor="seurat")
data = data[:, data.var["highly_variable"]].copy()
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=8000)
    parser.add_argument("--genes", type=int, default=18000)
    parser.add_argument("--density", type=float, default=0.1, help="share of counts that are not zero")
    parser.add_argument("--only-omib", action="store_true", help="for files that scanpy could not hold in memory")
    parser.add_argument("--out", type=Path, required=True, help="a folder outside the repository")
    return parser.parse_args()


def make(path: Path, cells: int, genes: int, density: float) -> None:
    """Write the counts, 2,000 cells at a time."""
    import h5py
    import numpy as np
    import pandas as pd
    from anndata.io import write_elem

    rng = np.random.default_rng(0)
    mean = rng.lognormal(0.0, 1.0, genes)
    kinds = rng.integers(4, size=cells)
    ids = [f"cell{number}" for number in range(cells)]
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "obs", pd.DataFrame(index=ids))
        write_elem(file, "var", pd.DataFrame(index=[f"gene{number}" for number in range(genes)]))
        for empty in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            write_elem(file, empty, {})
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [cells, genes]})
        per_cell = int(density * genes)
        data = group.create_dataset("data", (cells * per_cell,), dtype="float32")
        indices = group.create_dataset("indices", (cells * per_cell,), dtype="int32")
        group["indptr"] = np.arange(cells + 1, dtype=np.int64) * per_cell
        for start in range(0, cells, 2000):
            stop = min(cells, start + 2000)
            block, columns = [], []
            for kind in kinds[start:stop]:
                chosen = np.sort(rng.choice(genes, per_cell, replace=False, shuffle=False))
                raised = mean[chosen] * (1 + 3 * (chosen % 40 == kind))
                columns.append(chosen)
                block.append(1 + rng.poisson(raised * rng.gamma(2.0, 0.5, per_cell)))
            data[start * per_cell : stop * per_cell] = np.concatenate(block)
            indices[start * per_cell : stop * per_cell] = np.concatenate(columns)
    labels = pd.DataFrame({"id": ids, "kind": [f"kind{kind}" for kind in kinds]})
    labels.to_csv(path.with_name("labels.csv"), index=False)


def measured(*command: str) -> tuple[float, float, float]:
    """CPU seconds, seconds and the largest resident set in GiB of a process."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 2**20


def main() -> None:
    """Make the counts, measure, print."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = options.out / f"{options.cells}x{options.genes}"
    folder.mkdir(exist_ok=True)
    counts = folder / "cells.h5ad"
    if not (folder / "labels.csv").exists():
        make(counts, options.cells, options.genes, options.density)
    recipe = folder / "cells.yaml"
    recipe.write_text(RECIPE.format(file=counts.name, top=TOP))
    prepare = ("prepare", str(recipe), "--input", str(folder), "-o", str(folder / "cells.h5"), "--fresh", "--quiet")
    rows = {"omib prepare": measured(sys.executable, "-m", "omib_cli", *prepare)}
    if not options.only_omib:
        rows["scanpy, in memory"] = measured(sys.executable, "-c", SCANPY, str(counts), str(TOP))
    print(f"{options.cells:,} cells x {options.genes:,} genes, {options.density:.0%} of them counted")
    print("\n| | CPU s | s | GiB |\n| --- | --- | --- | --- |")
    for name, (cpu, seconds, memory) in rows.items():
        print(f"| {name} | {cpu:.1f} | {seconds:.1f} | {memory:.2f} |")
    if len(rows) > 1:
        print(f"\nomib takes {rows['omib prepare'][0] / rows['scanpy, in memory'][0]:.2f} times scanpy's CPU seconds")


if __name__ == "__main__":
    main()
