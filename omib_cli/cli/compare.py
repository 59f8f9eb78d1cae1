"""``omib compare``: signature and call."""

from __future__ import annotations

from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.grid import Asked, launch_of, study_and_recipes, threads_of, until_of, work
from omib_cli.cli.session import working

EXAMPLES = opt.examples(
    "omib compare sim-i-best --methods omib,concat,dmib --seeds 5 --out compared --jobs 2",
    "omib compare table-6 rosmap --input data/rosmap --list | parallel -j 8",
)


def compare(
    recipes: opt.Recipes,
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
    seeds: opt.Seeds = None,
    first_seed: opt.FirstSeed = 0,
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
    memory: opt.Memory = None,
    max_minutes: opt.MaxMinutes = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Run fusion methods and ablations on the same data, and put them side by side.

    Every cell is a run of its own, in OUT/RECIPE/NAME/seed-N, which continues where it was; cells share datasets and
    estimates. The table (terminal, .md, .csv, .json, .png) has mean and standard deviation over seeds, and the
    difference to the reference on the same samples. A cell that fails is named with its reason. A study (table-2 ...
    table-6) brings recipes, methods, seeds and the paper's values; options and recipes after it take their place.
    With --folds the cells are those of a cross-validation, as omib cross-validate has them.
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
        from omib_cli.recipe.load import load_recipe
        from omib_cli.stages.folding import folds_of_options, must_be_foldable
        from omib_cli.stages.grid import cells_of
        from omib_cli.stages.variants import methods_and_ablations

        study, names = study_and_recipes(recipes, "compare")
        divided = folds_of_options(folds, repeats, seeds)
        launch = launch_of(job, out, study.study if study else "compare", input_path, device, jobs, until_of(divided))
        wanted = opt.names(methods) if methods is not None else study.methods if study else ["all"]
        without = opt.names(ablations) if ablations is not None else study.ablations if study else []
        count = seeds or (study.seeds if study else opt.SEEDS) if divided is None else divided.repeats
        runs = range(first_seed, first_seed + count)
        cells = []
        for name in names:
            recipe = load_recipe(name, overrides or ())
            if divided is not None:
                must_be_foldable(recipe)
            chosen = methods_and_ablations(recipe, wanted, without)
            cells += cells_of(name, chosen, runs, launch.out, overrides or (), divided)
        work(cells, launch, job, Asked(jobs, as_list, collect, as_json), reference, study, divided)
