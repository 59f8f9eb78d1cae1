"""A graph encoder on what a batch can see beside the same encoder on the whole section: ``python benchmarks/graph.py``.

A section of spots on a hexagonal grid, each with its six neighbours, the encoder of the recipe `her2st`. A batch needs
the spots within two hops of it; the usual way computes the section and takes the batch's rows. Both give the batch the
same encodings, which is checked; prints the time of a step (forward and backward) of each, and their ratio.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from statistics import median

import torch

from omib_cli.encoders.gcn import GcnEncoder
from omib_cli.encoders.neighbourhood import Neighbourhood
from omib_cli.nn.batch import Batch
from omib_cli.recipe.encoders import GcnOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.start import prepare_torch

AROUND = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, -1), (-1, 1))


def section(spots: int, genes: int) -> Neighbourhood:
    """A square piece of a hexagonal grid."""
    side = round(spots**0.5)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    found = []
    for down, right in AROUND:
        row, column = rows + down, columns + right
        inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
        found.append(torch.where(inside, row * side + column, -1).flatten())
    return Neighbourhood.of(torch.randn(side * side, genes), torch.stack(found, dim=1))


def batch_of(count: int) -> Batch:
    return Batch.of(torch.zeros(count), torch.ones(count, 1, dtype=torch.bool))


def main() -> None:
    """Measure both ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spots", type=int, default=3025)
    parser.add_argument("--genes", type=int, default=3000)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    prepare_torch(Job(threads=1, device="cpu"))
    torch.manual_seed(0)
    graph = section(options.spots, options.genes)
    encoder = GcnEncoder(GcnOptions(kind="gcn", width=256), (options.genes,)).eval()
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}")
    print(f"{len(graph):,} spots, {options.genes:,} genes, one thread, median of {options.repeats}\n")
    print(
        "| batch | spots within reach | neighbourhood, s | whole section, s | ratio |\n| --- | --- | --- | --- | --- |"
    )
    for batch in options.batches:
        times: dict[str, list[float]] = {"near": [], "whole": []}
        for turn in range(options.repeats + 1):
            chosen = torch.randperm(len(graph))[:batch]
            started = time.perf_counter()
            near = graph[chosen]
            encoder(near, batch_of(batch)).square().sum().backward()
            middle = time.perf_counter()
            encoder(graph, batch_of(len(graph)))[chosen].square().sum().backward()
            end = time.perf_counter()
            if turn:
                times["near"].append(middle - started)
                times["whole"].append(end - middle)
        with torch.no_grad():
            near_too = encoder(near, batch_of(batch))
            torch.testing.assert_close(near_too, encoder(graph, batch_of(len(graph)))[chosen], rtol=1e-3, atol=1e-4)
        own, whole = median(times["near"]), median(times["whole"])
        print(f"| {batch} | {len(near.values):,} | {own:.3f} | {whole:.3f} | {whole / own:.1f} |")


if __name__ == "__main__":
    main()
