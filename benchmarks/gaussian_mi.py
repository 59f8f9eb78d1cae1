"""Estimators of mutual information on correlated Gaussians, beside the truth -d/2 ln(1 - rho^2).

Run ``python benchmarks/gaussian_mi.py --markdown table.md``; one thread, the options of a recipe's defaults.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import torch

from omib_cli.information.bounds import spread
from omib_cli.information.estimation import MutualInformation, estimate, standardise
from omib_cli.information.gaussian import true_information
from omib_cli.recipe.information import InformationOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.seeds import derive_seed

ESTIMATORS = ("mine", "mine+bilinear", "infonce", "nwj", "smile", "gaussian")
HEADER = ("d", "rho", "truth", "estimator", "held-out estimate", "sd", "off by", "unclipped", "CPU s each")


def correlated(dimensions: int, rho: float, samples: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, d) pairs of standard Gaussians with correlation rho in each dimension."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "gaussians", dimensions, str(rho)))
    x, noise = torch.randn(2, samples, dimensions, generator=generator)
    return standardise(x), standardise(rho * x + math.sqrt(1 - rho**2) * noise)


def measured(name: str, dimensions: int, rho: float, samples: int, seeds: int) -> tuple[list[MutualInformation], float]:
    """One estimate for each seed, on data of its own, and the CPU seconds of one."""
    estimator, _, critic = name.partition("+")
    options = InformationOptions(estimator=estimator, critic=critic or "paper")
    started = time.process_time()
    found = []
    for seed in range(seeds):
        x, z = correlated(dimensions, rho, samples, seed)
        found.append(estimate(x, z, options, seed=seed, repetition=0, name="x|z", job=Job(threads=1)))
    return found, (time.process_time() - started) / seeds


def rows(arguments: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """The table's rows, as text."""
    for dimensions in arguments.dims:
        for rho in arguments.rho:
            truth = true_information(dimensions, rho)
            for name in arguments.estimators:
                found, seconds = measured(name, dimensions, rho, arguments.samples, arguments.seeds)
                values = [each.value for each in found]
                error = f"{100 * (fmean(values) / truth - 1):+.0f} %"
                limited = (
                    " (at ln N_eval)"
                    if name != "gaussian" and any((each.raw or 0.0) > each.limit for each in found)
                    else ""
                )
                yield (
                    str(dimensions),
                    f"{rho:g}",
                    f"{truth:.3f}",
                    name,
                    f"{fmean(values):.3f}{limited}",
                    "–" if (sd := spread(values)) is None else f"{sd:.3f}",
                    error,
                    f"{fmean(each.raw or math.inf for each in found):.2f}",
                    f"{seconds:.1f}",
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--estimators", nargs="+", default=ESTIMATORS)
    parser.add_argument("--dims", nargs="+", type=int, default=[1, 5, 20])
    parser.add_argument("--rho", nargs="+", type=float, default=[0.5, 0.9])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--markdown", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["| " + " | ".join(HEADER) + " |", "|" + " --- |" * len(HEADER)]
    print("\n".join(lines), flush=True)
    for row in rows(arguments):
        lines.append("| " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
