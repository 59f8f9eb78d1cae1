"""Options that several commands share, each said once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from omib_cli.errors import UsageError

if TYPE_CHECKING:
    from omib_cli.stages.new_samples import NewData

Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset, from omib simulate or omib prepare.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="PATH", help="What to write.")]
Input = Annotated[
    Path | None, typer.Option("--input", metavar="PATH", help="The folder that the recipe's files are in.")
]
Recipe = Annotated[
    str | None,
    typer.Option("--recipe", metavar="RECIPE", help="Name or file of a recipe; else the one the dataset carries."),
]
RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A name from omib recipe list, or a YAML file of your own.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a key of the recipe: train.epochs=5. May be repeated."),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random; else the recipe's.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads; else what Slurm or the cgroup grants.")
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Most memory for samples: 512M, 8G; larger data is read from disk as training goes. Half of what is free.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option("--precision", metavar="fp32|bf16", help="Of matrix products in training; else the recipe's."),
]
Compile = Annotated[bool, typer.Option("--compile", help="Have torch compile the training step first.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over, whatever is there already.")]
MaxMinutes = Annotated[
    float | None,
    typer.Option("--max-minutes", min=0.0, help="Save and stop after so many minutes (exit 75: run again)."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Check recipe and inputs, try a batch where a network is trained, say what would be done, and stop.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="The result as one line of JSON.")]
Modality = Annotated[
    list[str] | None,
    typer.Option(
        "--modality", metavar="NAME=FILE", help="Another file for a modality; none if the samples have no such. Repeat."
    ),
]
Labels = Annotated[
    str | None,
    typer.Option("--labels", metavar="FILE[:COLUMN]", help="The new samples' labels, if there are any; or none."),
]
Raw = Annotated[
    bool, typer.Option("--raw", help="Class probabilities as the network gives them, without the model's temperature.")
]
Level = Annotated[
    float | None,
    typer.Option(
        "--level",
        metavar="SHARE",
        help="How often sets of classes, or intervals of values, are to hold the truth. 0.9, where the model can tell.",
    ),
]
Times = Annotated[
    str | None,
    typer.Option(
        "--times", metavar="T,T", help="Times at which to say the survival, in the training labels' unit: 12,24,60."
    ),
]
AllowMissing = Annotated[
    float,
    typer.Option(
        "--allow-missing",
        min=0.0,
        max=1.0,
        metavar="SHARE",
        help="Largest share of a modality's values that may be missing: the training samples' own stand in.",
    ),
]
DataRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe", metavar="RECIPE", help="A recipe whose `data` section reads the new files; else the model's."
    ),
]
SEEDS = 3
"""Runs of each cell of a grid, where neither an option nor a study says otherwise."""
Recipes = Annotated[
    list[str],
    typer.Argument(metavar="RECIPE...", help="Recipes, by name or file; or a study, and recipes in place of its own."),
]
Seeds = Annotated[
    int | None, typer.Option("--seeds", min=1, help=f"Runs of each, with seeds from the first on; {SEEDS} by default.")
]
Folds = Annotated[
    int | None,
    typer.Option("--folds", metavar="K", help="Cross-validate: divide all samples into K folds, each tested once."),
]
Repeats = Annotated[
    int | None, typer.Option("--repeats", metavar="R", help="Of a cross-validation: how often samples are divided.")
]
Within = Annotated[
    Literal["all", "train"],
    typer.Option("--within", help="What folds divide: all labelled samples, or those outside the given test split."),
]
FirstSeed = Annotated[int, typer.Option("--first-seed", min=0, help="The first seed.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Runs at once; they divide the CPU threads.")]
AsList = Annotated[
    bool, typer.Option("--list", help="Print the runs as shell commands, one a line, and stop; --collect comes after.")
]
Collect = Annotated[bool, typer.Option("--collect", help="Run nothing; make the tables of what is there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings and errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show more: machine, time and memory used.")]


def names(text: str) -> list[str]:
    """The names in a list with commas."""
    return [name for part in text.split(",") if (name := part.strip())]


def new_data(
    input_path: Path | None,
    recipe: str | None,
    overrides: list[str] | None,
    modality: list[str] | None,
    labels: str | None,
    allow_missing: float,
    split: str = "new",
) -> NewData:
    """Where new samples are, from the options that say it.

    Raises
    ------
    UsageError
        A modality without a file, or named twice.
    """
    from omib_cli.stages.new_samples import NewData

    files: dict[str, str] = {}
    for one in modality or ():
        name, equals, file = one.partition("=")
        if not (name and equals and file) or name in files:
            raise UsageError(
                "--modality names a modality and its file", got=one, expected="--modality rna=new.csv, once each"
            )
        files[name] = file
    return NewData(input_path, recipe, overrides or (), files, labels, allow_missing, split)


def write_new(target: Path, text: str) -> None:
    """Write a file of text where there is none yet.

    Raises
    ------
    UsageError
        There is one; it cannot be written.
    """
    try:
        with target.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise UsageError("the file is there already", where=target, do="give another name, or remove it") from error
    except OSError as error:
        raise UsageError("the file cannot be written", where=target, got=error.strerror) from error


def with_precision(overrides: list[str] | None, precision: str | None) -> list[str]:
    """The settings, and the precision of both phases where it is given."""
    given = [] if precision is None else [f"{phase}.precision={precision}" for phase in ("warmup", "train")]
    return [*(overrides or ()), *given]


def examples(*lines: str) -> str:
    """The end of a command's help: worked examples, a line each."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def group_settings() -> dict[str, Any]:
    """Settings of a group of commands: ``-h``, and flags that are false rather than unset.

    An unset flag makes Typer load pydantic before it shows any help, which takes longer than all the rest.
    """
    unset = ("help", "install_completion", "show_completion")
    return {"help_option_names": ["-h", "--help"], "default_map": dict.fromkeys(unset, False)}


def times_of(said: str | None) -> list[float]:
    """Increasing times from a list with commas."""
    parts = [] if said is None else said.split(",")
    try:
        times = sorted({float(part) for part in parts})
    except ValueError:
        times = [math.nan]
    if not all(0.0 < time < math.inf for time in times):
        raise UsageError("--times takes times with commas between them", got=said, expected="such as 12,24,60")
    return times
