"""``omib run``: signature and call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import show_plan, working

if TYPE_CHECKING:
    from omib_cli.stages.run import Until

EXAMPLES = opt.examples("omib run sim-i", "omib run rosmap --input data/rosmap --out rosmap-seed1 --seed 1")


def run(
    recipe: opt.RecipeArgument,
    input_path: opt.Input = None,
    out: opt.Out = None,
    shared: Annotated[
        Path | None,
        typer.Option(
            "--shared", metavar="FOLDER", help="Keep dataset and estimates here, for runs that agree on them."
        ),
    ] = None,
    with_report: Annotated[
        bool, typer.Option("--report/--no-report", help="Whether to write the report, or to end with the embedding.")
    ] = True,
    overrides: opt.Overrides = None,
    seed: opt.Seed = None,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    memory: opt.Memory = None,
    precision: opt.Precision = None,
    compiled: opt.Compile = False,
    fresh: opt.Fresh = False,
    max_minutes: opt.MaxMinutes = None,
    dry_run: opt.DryRun = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Do everything from raw data to report, skipping what is up to date.

    Writes a folder named after the recipe: dataset.h5, information.h5, warmup.safetensors, model.safetensors,
    embedding.h5ad and report/, as the single commands do.
    """
    with working(
        device=device,
        threads=threads,
        memory=memory,
        compiled=compiled,
        fresh=fresh,
        max_minutes=max_minutes,
        quiet=quiet,
        verbose=verbose,
    ) as job:
        from omib_cli.recipe.load import load_recipe

        resolved = load_recipe(recipe, opt.with_precision(overrides, precision), seed)
        folder = out or Path(resolved.name)
        until: Until = "report" if with_report else "embedding"
        from omib_cli.stages import run as stage

        if not dry_run:
            result = stage.run(resolved, input_path, folder, job, shared, until=until)
            show_result(result, as_json=as_json)
            return
        steps, trial = stage.rehearse(resolved, input_path, folder, job, shared, until=until)
        show_plan(resolved, steps, folder, as_json=as_json, trial=trial)
