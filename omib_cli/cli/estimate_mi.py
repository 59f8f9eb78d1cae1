"""``omib estimate-mi``: signature and call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import recipe_for, show_plan, working

EXAMPLES = opt.examples(
    "omib estimate-mi sim-i.h5", "omib estimate-mi rosmap.h5 --warmup warmup.safetensors --set information.seeds=5"
)


def estimate_mi(
    dataset: opt.Dataset,
    recipe: opt.Recipe = None,
    warmup: Annotated[
        Path | None,
        typer.Option("--warmup", metavar="CKPT", help="From omib warmup: estimate on its frozen encodings."),
    ] = None,
    out: opt.Out = None,
    overrides: opt.Overrides = None,
    seed: opt.Seed = None,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    fresh: opt.Fresh = False,
    max_minutes: opt.MaxMinutes = None,
    dry_run: opt.DryRun = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Estimate entropies and mutual information of the modalities, in nats, and the bounds on beta.

    Writes information.h5 beside the dataset; omib train takes beta from the bounds in it. What the quantities are,
    what they are not, and how far an estimate can be trusted: docs/information.md.
    """
    target: Path = out or dataset.with_name("information.h5")
    with working(
        device=device,
        threads=threads,
        fresh=fresh,
        max_minutes=max_minutes,
        quiet=quiet,
        verbose=verbose,
        divisible=True,
    ) as job:
        from omib_cli.artifacts.dataset import Dataset

        with Dataset(dataset) as data:
            resolved = recipe_for(data, recipe, overrides, seed)
            from omib_cli.stages import estimate_mi as stage

            if not dry_run:
                show_result(stage.run(resolved, data, target, job, warmup), as_json=as_json)
                return
            from omib_cli.stages.plan import information_step

            stage.must_start(resolved, data, warmup)
            steps = [information_step(resolved, data, target, warmup)]
            show_plan(resolved, steps, target, as_json=as_json, dataset=dataset, warmup=warmup)
