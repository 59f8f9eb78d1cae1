"""The program ``omib``: its commands, and what becomes of errors."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from omib_cli import __version__
from omib_cli.cli import (
    compare,
    cross_validate,
    embed,
    estimate_mi,
    evaluate,
    inspect,
    options,
    predict,
    prepare,
    run,
    simulate,
    sweep,
    train,
    tune,
    warmup,
)
from omib_cli.cli.console import say, show_error
from omib_cli.cli.recipe import recipe
from omib_cli.errors import DataError, OmibError, remedy

app = typer.Typer(
    name="omib",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=options.group_settings(),
    epilog=options.examples("omib run sim-i", "omib run rosmap --input data/rosmap --out rosmap"),
)
app.command(epilog=simulate.EXAMPLES, short_help="Simulate modalities whose truth is known: a dataset.")(
    simulate.simulate
)
app.command(epilog=prepare.EXAMPLES, short_help="Make a dataset of raw data.")(prepare.prepare)
app.command(
    "estimate-mi", epilog=estimate_mi.EXAMPLES, short_help="Estimate mutual information and the bounds on beta."
)(estimate_mi.estimate_mi)
app.command(epilog=warmup.EXAMPLES, short_help="Train each modality's encoder alone.")(warmup.warmup)
app.command(epilog=train.EXAMPLES, short_help="Train the whole network.")(train.train)
app.command(epilog=embed.EXAMPLES, short_help="Embed a dataset's samples and predict their labels.")(embed.embed)
app.command(epilog=predict.EXAMPLES, short_help="Predict new samples from raw files.")(predict.predict)
app.command(epilog=evaluate.EXAMPLES, short_help="Measure predictions and write a report.")(evaluate.evaluate)
app.command(epilog=run.EXAMPLES, short_help="Do everything from raw data to report.")(run.run)
app.command(epilog=compare.EXAMPLES, short_help="Run methods, ablations and seeds; put them side by side.")(
    compare.compare
)
app.command(
    "cross-validate",
    epilog=cross_validate.EXAMPLES,
    short_help="Test every sample once: folds, repeats, methods side by side.",
)(cross_validate.cross_validate)
app.command(epilog=sweep.EXAMPLES, short_help="Run a recipe over values of beta, or of any key.")(sweep.sweep)
app.command(epilog=tune.EXAMPLES, short_help="Try settings of a recipe and keep the best.")(tune.tune)
app.command(epilog=inspect.EXAMPLES, short_help="Say what a file is and how it was made.")(inspect.inspect)
app.add_typer(recipe, name="recipe")


def _version(wanted: bool) -> None:
    if wanted:
        say(f"omib {__version__}")
        raise typer.Exit


@app.callback()
def omib(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the program an error arose.")] = False,
) -> None:
    """Optimal multimodal information bottleneck representations, from raw data to report.

    Exit codes: 0 done, 2 wrong usage or recipe, 3 bad data, 4 files that do not fit together, 5 numeric failure,
    75 stopped with the state saved (run again), 130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; an error that the user can act on ends it with a message and its own exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given  # wherever it stands
    try:
        app(args=[argument for argument in given if argument != "--debug"], prog_name="omib")
    except OmibError as error:
        show_error(error, debug=debug)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno is None:  # raised by the program itself: a defect
            raise
        known = _of_system(error)
        show_error(known, debug=debug)
        sys.exit(known.exit_code)


def _of_system(error: OSError) -> DataError:
    """What the operating system refused, in the program's words."""
    whats = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "your quota of disk space is used up"}
    known = DataError(
        whats.get(error.errno or 0, "a file cannot be read or written"),
        where=error.filename,
        got=error.strerror,
        do=remedy(error.errno),
    )
    known.__cause__ = error
    return known
