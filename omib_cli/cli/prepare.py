"""``omib prepare``: signature and call."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import working
from omib_cli.errors import UsageError

EXAMPLES = opt.examples(
    "omib prepare rosmap --input data/rosmap",
    "omib prepare --like model.safetensors --input clinic-b/ -o clinic-b.h5",
)


class SplitOfNew(StrEnum):
    """What new samples are for: predicting, training further, or judging."""

    new = "new"
    train = "train"
    test = "test"


def prepare(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="A name from omib recipe list, or a YAML file of your own.")
    ] = None,
    input_path: Annotated[
        Path | None, typer.Option("--input", metavar="PATH", help="The folder that the recipe's files are in.")
    ] = None,
    out: opt.Out = None,
    like: Annotated[
        Path | None,
        typer.Option(
            "--like", metavar="CKPT", help="Prepare new samples for this model, as its own data were prepared."
        ),
    ] = None,
    modality: opt.Modality = None,
    labels: opt.Labels = None,
    allow_missing: opt.AllowMissing = 0.0,
    split: Annotated[
        SplitOfNew,
        typer.Option("--split", help="With --like: the split that the samples are put in; all but new need labels."),
    ] = SplitOfNew.new,
    overrides: opt.Overrides = None,
    seed: opt.Seed = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", metavar="SIZE", help="Most memory for a large sparse matrix, as 512M or 2G; else what it takes."
        ),
    ] = None,
    fresh: opt.Fresh = False,
    max_minutes: opt.MaxMinutes = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Make a dataset of raw data: join modalities by sample, split, scale, mark what is missing.

    Writes NAME.h5, named after the recipe: samples, labels, splits and the recipe itself, all that the later commands
    need. With --like, nothing is fitted: the samples, labelled or not, are prepared with what the model carries, and
    RECIPE, if given, only says how to read them.
    """
    _must_agree(recipe, like, seed, modality or labels or allow_missing or split != SplitOfNew.new)
    with working(memory=memory, fresh=fresh, max_minutes=max_minutes, quiet=quiet, verbose=verbose) as job:
        if like is not None:
            from omib_cli.stages.new_samples import prepare_like

            new = opt.new_data(input_path, recipe, overrides, modality, labels, allow_missing, split.value)
            show_result(prepare_like(new, like, out or Path("new.h5"), job), as_json=as_json)
            return
        from omib_cli.recipe.load import load_recipe

        resolved = load_recipe(str(recipe), overrides or (), seed)
        from omib_cli.stages import prepare as stage

        target = out or Path(f"{resolved.name}.h5")
        show_result(stage.run(resolved, input_path, target, job), as_json=as_json)


def _must_agree(recipe: str | None, like: Path | None, seed: int | None, only_like: object) -> None:
    """Refuse options that say nothing together."""
    if like is None and recipe is None:
        raise UsageError("prepare what?", expected="a RECIPE, or --like MODEL for new samples of a trained model")
    if like is None and only_like:
        raise UsageError(
            "--modality, --labels, --allow-missing and --split go with --like", do="set the recipe's `data` section"
        )
    if like is not None and seed is not None:
        raise UsageError("--seed has no say with --like", got=f"--seed {seed}", do="leave it out: nothing is drawn")
