"""``omib tune``: signature and call."""

from __future__ import annotations

from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_tuning
from omib_cli.cli.grid_options import ManyRuns, takes_grid

EXAMPLES = opt.examples(
    "omib tune rosmap --input data/rosmap --trials 50 --folds 3 --out tuned",
    "omib tune mine.yaml --input my --trials 100 --jobs 2 --max-minutes 55",
)


@takes_grid
def tune(
    recipe: opt.RecipeArgument,
    grid: ManyRuns,
    trials: Annotated[int, typer.Option("--trials", min=1, metavar="N", help="Trials, those of before included.")] = 50,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds", min=2, metavar="K", help="Judge by K inner folds of all but the test samples; else validation."
        ),
    ] = None,
    again: Annotated[
        int,
        typer.Option(
            "--again", min=0, metavar="N", help="Run the best and the recipe as it is with N other seeds, to compare."
        ),
    ] = 3,
    seed: opt.Seed = None,
) -> None:
    """Try settings of a recipe, judged on validation samples, and write the best as a recipe.

    What is tried is the recipe's tune section, or what usually matters around its own values. The first trial is the
    recipe as it is; the others are proposed by Optuna (TPE, which learns from those before), and one that is worse than
    half of them is given up. The test split is never looked at. Trials that are done are kept: the same command
    continues, and any number of processes may work in one folder. Writes RECIPE-tuned.yaml, which omib run takes, a
    table (terminal, .md, .csv, .json, .png, .html), and whether the best is better than chance made it: both are run
    again with other seeds. docs/tuning.md.
    """
    with grid.working() as job:
        from omib_cli.recipe.load import load_tunable
        from omib_cli.stages import tune as stage
        from omib_cli.stages.searching import SearchPlan

        resolved = load_tunable(recipe, grid.changes, seed)
        plan = SearchPlan(recipe, grid.changes, resolved.seed, trials, folds)
        launch = grid.launch(job, "tune", until="model")
        show_tuning(stage.run(plan, launch, job, jobs=grid.jobs, seeds=again), as_json=grid.as_json)
