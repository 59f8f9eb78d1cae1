"""``omib sweep``: signature and call."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import say, show_grid
from omib_cli.cli.session import working

EXAMPLES = opt.examples(
    "omib sweep sim-i-best --beta 1e-6:10:13 --seeds 2 --out beta --jobs 2",
    "omib sweep rosmap --input data/rosmap --vary fusion.latent=16,64,256",
)


def sweep(
    recipe: opt.RecipeArgument,
    beta: Annotated[
        str | None, typer.Option("--beta", metavar="LOW:HIGH:N", help="N values of beta in equal ratios.")
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option("--vary", metavar="KEY=VALUES", help="Any key: KEY=LOW:HIGH:N, in equal ratios, or KEY=A,B,C."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each value.")] = 3,
    first_seed: Annotated[int, typer.Option("--first-seed", min=0, help="The first seed.")] = 0,
    input_path: opt.Input = None,
    out: opt.Out = None,
    jobs: opt.Jobs = 1,
    as_list: opt.AsList = False,
    collect: opt.Collect = False,
    overrides: opt.Overrides = None,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    max_minutes: opt.MaxMinutes = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Run a recipe over values of beta, or of any other key, and draw what they do.

    The recipe as it is runs beside them: it is what the others are compared with, and it gives the bounds on beta.
    Files and cells are as with omib compare.
    """
    with working(device=device, threads=threads, max_minutes=max_minutes, quiet=quiet, verbose=verbose) as job:
        from pathlib import Path

        from omib_cli.stages.grid import AS_IS, Launch, cells_of, swept

        folder = out or Path("sweep")
        launch = Launch(folder, input_path, device, threads or max(1, job.threads // jobs))
        variants = swept(beta, vary)
        cells = cells_of(recipe, variants, range(first_seed, first_seed + seeds), folder, overrides or ())
        if as_list:
            for cell in cells:
                say(shlex.join(["omib", *launch.words(cell)]))
            return
        from omib_cli.stages import compare as stage

        result = stage.run(cells, launch, job, reference=AS_IS, jobs=jobs, collect_only=collect)
        show_grid(result, as_json=as_json)
