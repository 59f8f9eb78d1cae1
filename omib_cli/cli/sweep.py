"""``omib sweep``: signature and call."""

from __future__ import annotations

from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.grid import study_and_recipes, until_of, work
from omib_cli.cli.grid_options import Grid, takes_grid

EXAMPLES = opt.examples(
    "omib sweep figure-3 sim-i-best --seeds 2 --out beta --jobs 2",
    "omib sweep rosmap --input data/rosmap --vary fusion.latent=16,64,256 --folds 5 --within train",
)


@takes_grid
def sweep(
    recipes: opt.Recipes,
    grid: Grid,
    beta: Annotated[
        str | None, typer.Option("--beta", metavar="LOW:HIGH:N", help="N values of beta in equal ratios.")
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option("--vary", metavar="KEY=VALUES", help="Any key: KEY=LOW:HIGH:N, in equal ratios, or KEY=A,B,C."),
    ] = None,
    folds: opt.Folds = None,
    repeats: opt.Repeats = None,
    within: opt.Within = "all",
    seeds: opt.Seeds = None,
) -> None:
    """Run a recipe over values of beta, or of any other key, and draw what they do.

    The recipe as it is runs beside them: it is what the others are compared with, and it gives the bounds on beta.
    Files and cells are as with omib compare; so are studies (figure-3). The table has the validation split's metric
    beside the test's, and says what a value may be chosen by; with --folds it is cross-validated.
    """
    with grid.working() as job:
        from omib_cli.recipe.load import load_recipe
        from omib_cli.stages.folding import folds_of_options, must_be_foldable
        from omib_cli.stages.grid import cells_of
        from omib_cli.stages.variants import AS_IS, said_of_choosing, swept

        study, names = study_and_recipes(recipes, "sweep")
        divided = folds_of_options(folds, repeats, seeds, within)
        launch = grid.launch(job, study.study if study else "sweep", until_of(divided))
        if study and beta is None and vary is None:
            beta, vary = study.beta, study.vary
        variants = swept(beta, vary)
        count = seeds or (study.seeds if study else opt.SEEDS) if divided is None else divided.repeats
        runs = range(grid.first_seed, grid.first_seed + count)
        if divided is not None:
            for name in names:
                must_be_foldable(load_recipe(name, grid.changes))
        cells = [cell for name in names for cell in cells_of(name, variants, runs, launch.out, grid.changes, divided)]
        work(cells, launch, job, grid, AS_IS, study, divided, notes=[said_of_choosing(within if divided else None)])
