"""``omib prepare``: signature and call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import working

EXAMPLES = opt.examples(
    "omib prepare rosmap --input data/rosmap", "omib prepare my-study.yaml --input tables/ -o my-study.h5"
)


def prepare(
    recipe: opt.RecipeArgument,
    input_path: Annotated[
        Path | None, typer.Option("--input", metavar="PATH", help="The folder that the recipe's files are in.")
    ] = None,
    out: opt.Out = None,
    overrides: opt.Overrides = None,
    seed: opt.Seed = None,
    fresh: opt.Fresh = False,
    max_minutes: opt.MaxMinutes = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Make a dataset of raw data: join modalities by sample, split, scale, mark what is missing.

    Writes NAME.h5, named after the recipe: samples, labels, splits and the recipe itself, all that the later commands
    need.
    """
    with working(fresh=fresh, max_minutes=max_minutes, quiet=quiet, verbose=verbose) as job:
        from omib_cli.recipe.load import load_recipe

        resolved = load_recipe(recipe, overrides or (), seed)
        from omib_cli.stages import prepare as stage

        target = out or Path(f"{resolved.name}.h5")
        show_result(stage.run(resolved, input_path, target, job), as_json=as_json)
