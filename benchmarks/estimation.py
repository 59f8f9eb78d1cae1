"""Time of an estimate beside the same critic evaluated on concatenated pairs: ``python benchmarks/estimation.py``.

The critic's first layer is linear in [x; z], so that omib projects a batch once and adds the projections of all its
pairs. Here the same critic, with the same weights and random numbers, concatenates x and z for every pair instead, as
it is usually written. Both estimate I(x1; x2) of SIM-I from the same samples, in turn; they end at the same held-out
value but for rounding. Prints times and their ratio (target: at least 2).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from statistics import median
from typing import Any

import torch
from torch import Tensor

from omib_cli.information import estimation
from omib_cli.information.critic import Critic, Projected
from omib_cli.information.estimation import MutualInformation, standardise
from omib_cli.recipe.load import load_recipe
from omib_cli.runtime.job import Job
from omib_cli.runtime.start import prepare_torch
from omib_cli.sources.simulation import SimulationSource

TARGET = 2.0


class Concatenating(Critic):
    """The same function of the same weights, on concatenated pairs."""

    def project(self, x: Tensor, z: Tensor) -> Projected:
        """Nothing yet."""
        return Projected(x, z)

    def pairs(self, batch: Projected, shifts: Iterable[int]) -> Tensor:
        """T(x_i, z_{i+s}), each pair from its inputs: (shifts, B)."""
        weight, rows = torch.cat([self.weight_x, self.weight_z], dim=1), []
        for shift in shifts:
            pair = torch.cat([batch.x, batch.z.roll(-shift, dims=0)], dim=1)
            rows.append(self.rest(torch.nn.functional.linear(pair, weight, self.bias)).squeeze(1))
        return torch.stack(rows)


def estimate_with(critic: type[Critic], x: Tensor, z: Tensor, options: Any) -> MutualInformation:
    """One estimate whose critic is of this class."""
    usual = estimation.Critic
    estimation.Critic = critic  # type: ignore[misc]
    try:
        return estimation.estimate(x, z, options, seed=0, repetition=0, name="x1|x2", job=Job(threads=1))
    finally:
        estimation.Critic = usual  # type: ignore[misc]


def main() -> int:
    """Measure in turn, compare values, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8, help="of the critic")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    prepare_torch(Job(threads=options.threads, device="cpu"))
    recipe = load_recipe("sim-i", [f"information.epochs={options.epochs}", "information.least_steps=1"])
    values = SimulationSource(recipe).block(0, 9000).values
    x, z = (standardise(torch.from_numpy(values[name])) for name in ("x1", "x2"))
    found: dict[type[Critic], list[MutualInformation]] = {Critic: [], Concatenating: []}
    for _ in range(options.repeats):
        for critic, estimates in found.items():
            estimates.append(estimate_with(critic, x, z, recipe.information))
    shared, concatenated = (median(each.seconds for each in estimates) for estimates in found.values())
    nats = [estimates[0].value for estimates in found.values()]
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}")
    print(f"I(x1; x2) of SIM-I, 9,000 samples, {options.epochs} epochs, {options.repeats} times")
    for way, seconds, value in zip(("projections shared", "concatenated"), (shared, concatenated), nats, strict=True):
        print(f"{way}: {seconds:.2f} s, {value:.4f} nats")
    print(f"ratio {concatenated / shared:.2f} (target: at least {TARGET})")
    return int(concatenated / shared < TARGET)


if __name__ == "__main__":
    sys.exit(main())
