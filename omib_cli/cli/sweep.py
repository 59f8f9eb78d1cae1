"""``omib sweep``: signature and call."""

from __future__ import annotations

from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.grid import Asked, launch_of, study_and_recipes, threads_of, work
from omib_cli.cli.session import working

EXAMPLES = opt.examples(
    "omib sweep figure-3 sim-i-best --seeds 2 --out beta --jobs 2",
    "omib sweep rosmap --input data/rosmap --vary fusion.latent=16,64,256",
)


def sweep(
    recipes: opt.Recipes,
    beta: Annotated[
        str | None, typer.Option("--beta", metavar="LOW:HIGH:N", help="N values of beta in equal ratios.")
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option("--vary", metavar="KEY=VALUES", help="Any key: KEY=LOW:HIGH:N, in equal ratios, or KEY=A,B,C."),
    ] = None,
    seeds: opt.Seeds = None,
    first_seed: opt.FirstSeed = 0,
    input_path: opt.Input = None,
    out: opt.Out = None,
    jobs: opt.Jobs = 1,
    as_list: opt.AsList = False,
    collect: opt.Collect = False,
    overrides: opt.Overrides = None,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    memory: opt.Memory = None,
    max_minutes: opt.MaxMinutes = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Run a recipe over values of beta, or of any other key, and draw what they do.

    The recipe as it is runs beside them: it is what the others are compared with, and it gives the bounds on beta.
    Files and cells are as with omib compare; so are studies (figure-3).
    """
    with working(
        device=device,
        threads=threads_of(threads, jobs),
        memory=memory,
        max_minutes=max_minutes,
        quiet=quiet,
        verbose=verbose,
        elsewhere=as_list or collect,
    ) as job:
        from omib_cli.stages.grid import cells_of
        from omib_cli.stages.variants import AS_IS, swept

        study, names = study_and_recipes(recipes, "sweep")
        launch = launch_of(job, out, study.study if study else "sweep", input_path, device, jobs)
        if study and beta is None and vary is None:
            beta, vary = study.beta, study.vary
        variants = swept(beta, vary)
        runs = range(first_seed, first_seed + (seeds or (study.seeds if study else opt.SEEDS)))
        cells = [cell for name in names for cell in cells_of(name, variants, runs, launch.out, overrides or ())]
        work(cells, launch, job, Asked(jobs, as_list, collect, as_json), AS_IS, study)
