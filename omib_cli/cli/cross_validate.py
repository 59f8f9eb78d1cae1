"""``omib cross-validate``: signature and call."""

from __future__ import annotations

from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.grid import reference_names, until_of, work
from omib_cli.cli.grid_options import Grid, takes_grid
from omib_cli.errors import UsageError

EXAMPLES = opt.examples(
    "omib cross-validate rosmap --input data/rosmap --folds 5 --repeats 3 --out validated",
    "omib cross-validate mine.yaml --input my --methods omib,concat --within train --jobs 2",
)


@takes_grid
def cross_validate(
    recipe: opt.RecipeArgument,
    grid: Grid,
    folds: Annotated[int, typer.Option("--folds", metavar="K", help="Folds, each of which is tested once.")] = 5,
    repeats: Annotated[int, typer.Option("--repeats", metavar="R", help="How often samples are divided anew.")] = 1,
    methods: Annotated[
        str | None,
        typer.Option("--methods", metavar="NAMES", help="Fusion methods, with commas between them; else the recipe's."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="NAME", help="What the others are compared with; omib, or the first."),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(
            "--references",
            metavar="NAMES",
            help="Simple models beside the methods: constant, linear, forest, boosting, modalities, with commas "
            "between them, or none; else the recipe's (evaluate.references).",
        ),
    ] = None,
    within: opt.Within = "all",
    tuned: Annotated[
        int | None,
        typer.Option("--tuned", metavar="N", help="Also choose settings inside each fold, by N trials, as omib tune."),
    ] = None,
    inner: Annotated[
        int | None,
        typer.Option("--inner", min=2, metavar="K", help="Inner folds that judge those trials; else validation."),
    ] = None,
) -> None:
    """Divide all samples into folds and test each with a model of the others: what a recipe is worth on few samples.

    Folds are stratified by class, and groups are kept whole. Everything is fitted inside each fold, from the selection
    of features to the bounds on beta. Every fold is a run in OUT/RECIPE/METHOD/seed-N-fold-K, which continues where it
    was, as with omib compare. Written into OUT: a table (terminal, .md, .csv, .json, .png, .html) of mean and standard
    deviation over folds, differences to the reference with the corrected standard error, and pooled metrics with
    intervals; into OUT/RECIPE: predictions.csv, every sample's as it was held out, and folds.csv. With --tuned a second
    line has the recipe with settings that were chosen inside each fold, and how much the score that chose them
    flatters.
    """
    with grid.working() as job:
        from omib_cli.recipe.load import load_recipe, load_tunable
        from omib_cli.stages.folding import Folds, must_be_foldable
        from omib_cli.stages.grid import cells_of
        from omib_cli.stages.variants import methods_and_ablations

        divided = Folds(folds, repeats, within)
        resolved = load_recipe(recipe, grid.changes)
        must_be_foldable(resolved)
        chosen = methods_and_ablations(resolved, opt.names(methods) if methods else [resolved.fusion.method], [])
        names = [variant.name for variant in chosen]
        against = reference or ("omib" if "omib" in names else names[0])
        launch = grid.launch(job, "cross-validation", until_of(divided))
        seeds = range(grid.first_seed, grid.first_seed + repeats)
        cells = cells_of(recipe, chosen, seeds, launch.out, grid.changes, divided)
        simple = None if references is None else reference_names(references)
        if tuned is not None:
            if grid.as_list:
                raise UsageError("--list and --tuned: which trials come next is not known yet", do="leave one out")
            load_tunable(recipe, grid.changes)
            from omib_cli.stages.nested import Tuned, tuned_cells

            how = Tuned.of(resolved, tuned, inner, job)
            within_folds = list(divided.runs(seeds))
            cells += tuned_cells(
                recipe, chosen, within_folds, grid.changes, how, launch, job, jobs=grid.jobs, collect_only=grid.collect
            )
        elif inner is not None:
            raise UsageError("--inner is of --tuned", do="--tuned N says how many trials the inner folds judge")
        work(cells, launch, job, grid, against, folds=divided, references=simple)
