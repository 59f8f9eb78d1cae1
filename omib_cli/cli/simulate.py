"""``omib simulate``: signature and call."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import working
from omib_cli.errors import UsageError

if TYPE_CHECKING:
    from omib_cli.recipe.schema import Recipe

EXAMPLES = opt.examples(
    "omib simulate --case i", "omib simulate --samples 5000 --dims a0=10,a1=20,a2=5,b0=10,b1=10,b2=25 -o small.h5"
)


def simulate(
    case: Annotated[
        Literal["i", "ii", "iii"] | None, typer.Option("--case", help="One of the paper's cases (Appendix F).")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="RECIPE", help="A recipe whose data is a simulation.")
    ] = None,
    dims: Annotated[
        str | None,
        typer.Option(
            "--dims",
            metavar="PART=COLUMNS,...",
            help="Sizes of your own. Two modalities: a0 (task-relevant, shared), a1, a2 (each one's own), b0 b1 b2 "
            "(superfluous). Three: a00 a11 a22 a33 a12 a13 a23, b00 b11 b22 b33 b12 b13 b23.",
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, metavar="N", help="Number of samples, all splits together.")
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
    """Simulate modalities whose task-relevant and superfluous parts are known.

    Writes NAME.h5, named after the recipe: a dataset with its ground truth, for the commands that train and to
    measure what they find.
    """
    with working(fresh=fresh, max_minutes=max_minutes, quiet=quiet, verbose=verbose) as job:
        resolved = _recipe(case, recipe, dims, samples, overrides or [], seed)
        from omib_cli.stages import simulate as stage

        show_result(stage.run(resolved, out or Path(f"{resolved.name}.h5"), job), as_json=as_json)


def _recipe(
    case: str | None,
    reference: str | None,
    dims: str | None,
    samples: int | None,
    overrides: list[str],
    seed: int | None,
) -> Recipe:
    from omib_cli.recipe.load import load_recipe

    if sum(given is not None for given in (case, reference, dims)) != 1:
        raise UsageError(
            "say once what to simulate",
            expected="exactly one of --case, --dims and --recipe",
            do="omib simulate --case i",
        )
    settings = [] if dims is None else _own_sizes(dims)
    settings += [] if samples is None else [f"data.samples={samples}"]
    own = "sim-three" if re.search(r"[ab]\d\d", dims or "") else "sim-i"  # two digits: parts of three modalities
    base = reference or (own if case is None else f"sim-{case}")
    return load_recipe(base, [*settings, *overrides], seed)


def _own_sizes(dims: str) -> list[str]:
    """``a0=2,b1=3`` as settings of a recipe."""
    sizes = [part.partition("=") for part in dims.replace(" ", "").split(",")]
    if not all(equals and count.isdigit() for _, equals, count in sizes):
        raise UsageError(
            "--dims cannot be read", got=dims, expected="PART=COLUMNS,...: a0=10,a1=20,a2=5,b0=10,b1=10,b2=25"
        )
    listed = ", ".join(f"{name}: {count}" for name, _, count in sizes)
    return ["name=sim-own", "data.case=null", f"data.parts={{{listed}}}"]
