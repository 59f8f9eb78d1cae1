"""``omib compare``: signature and call."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import say, show_grid
from omib_cli.cli.session import working

EXAMPLES = opt.examples(
    "omib compare sim-i-best --methods omib,concat,dmib --seeds 5 --out compared --jobs 2",
    "omib compare rosmap --input data/rosmap --ablations all --list | parallel -j 8",
)


def compare(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Recipes, by name or file.")],
    methods: Annotated[
        str, typer.Option("--methods", metavar="NAMES", help="Fusion methods, with commas between them; or all.")
    ] = "all",
    ablations: Annotated[
        str, typer.Option("--ablations", metavar="NAMES", help="Ablations of OMIB, likewise; none by default.")
    ] = "",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each, with seeds from the first one on.")] = 3,
    first_seed: Annotated[int, typer.Option("--first-seed", min=0, help="The first seed.")] = 0,
    reference: Annotated[
        str, typer.Option("--reference", metavar="NAME", help="What the others are compared with.")
    ] = "omib",
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
    """Run fusion methods and ablations on the same data, and put them side by side.

    Every cell is a run of its own, in OUT/RECIPE/NAME/seed-N, which continues where it was; cells share datasets and
    estimates. The table (terminal, .md, .csv, .json, .png) has mean and standard deviation over seeds, and the
    difference to the reference on the same samples. A cell that fails is named with its reason.
    """
    with working(device=device, threads=threads, max_minutes=max_minutes, quiet=quiet, verbose=verbose) as job:
        from omib_cli.recipe.load import load_recipe
        from omib_cli.stages.grid import Launch, cells_of, methods_and_ablations

        folder = out or Path("compare")
        launch = Launch(folder, input_path, device, threads or max(1, job.threads // jobs))
        cells = []
        for name in recipes:
            recipe = load_recipe(name, overrides or ())
            chosen = methods_and_ablations(recipe, opt.names(methods), opt.names(ablations))
            cells += cells_of(name, chosen, range(first_seed, first_seed + seeds), folder, overrides or ())
        if as_list:
            for cell in cells:
                say(shlex.join(["omib", *launch.words(cell)]))
            return
        from omib_cli.stages import compare as stage

        show_grid(stage.run(cells, launch, job, reference=reference, jobs=jobs, collect_only=collect), as_json=as_json)
