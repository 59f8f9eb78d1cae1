"""``omib compare``: signature and call."""

from __future__ import annotations

from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.grid import study_and_recipes, until_of, work
from omib_cli.cli.grid_options import Grid, takes_grid

EXAMPLES = opt.examples(
    "omib compare sim-i-best --methods omib,concat,dmib --seeds 5 --out compared --jobs 2",
    "omib compare table-6 rosmap --input data/rosmap --list | parallel -j 8",
)


@takes_grid
def compare(
    recipes: opt.Recipes,
    grid: Grid,
    methods: Annotated[
        str | None,
        typer.Option("--methods", metavar="NAMES", help="Fusion methods, with commas between them; all by default."),
    ] = None,
    ablations: Annotated[
        str | None,
        typer.Option("--ablations", metavar="NAMES", help="Ablations of OMIB, likewise; none by default."),
    ] = None,
    folds: opt.Folds = None,
    repeats: opt.Repeats = None,
    within: opt.Within = "all",
    seeds: opt.Seeds = None,
    reference: Annotated[
        str, typer.Option("--reference", metavar="NAME", help="What the others are compared with.")
    ] = "omib",
) -> None:
    """Run fusion methods and ablations on the same data, and put them side by side.

    Every cell is a run of its own, in OUT/RECIPE/NAME/seed-N, which continues where it was; cells share datasets and
    estimates. The table (terminal, .md, .csv, .json, .png) has mean and standard deviation over seeds, and the
    difference to the reference on the same samples. A cell that fails is named with its reason. A study (table-2 ...
    table-6) brings recipes, methods, seeds and the paper's values; options and recipes after it take their place.
    With --folds the cells are those of a cross-validation, as omib cross-validate has them.
    """
    with grid.working() as job:
        from omib_cli.recipe.load import load_recipe
        from omib_cli.stages.folding import folds_of_options, must_be_foldable
        from omib_cli.stages.grid import cells_of
        from omib_cli.stages.variants import methods_and_ablations

        study, names = study_and_recipes(recipes, "compare")
        divided = folds_of_options(folds, repeats, seeds, within)
        launch = grid.launch(job, study.study if study else "compare", until_of(divided))
        wanted = opt.names(methods) if methods is not None else study.methods if study else ["all"]
        without = opt.names(ablations) if ablations is not None else study.ablations if study else []
        count = seeds or (study.seeds if study else opt.SEEDS) if divided is None else divided.repeats
        runs = range(grid.first_seed, grid.first_seed + count)
        cells = []
        for name in names:
            recipe = load_recipe(name, grid.changes)
            if divided is not None:
                must_be_foldable(recipe)
            chosen = methods_and_ablations(recipe, wanted, without)
            cells += cells_of(name, chosen, runs, launch.out, grid.changes, divided)
        work(cells, launch, job, grid, reference, study, divided)
