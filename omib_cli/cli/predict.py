"""``omib predict``: signature and call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import working

EXAMPLES = opt.examples(
    "omib predict new-patients/ --model model.safetensors",
    "omib predict clinic-b/ --model model.safetensors --modality rna=counts.csv --csv predictions.csv",
)


def predict(
    input_path: Annotated[Path, typer.Argument(metavar="INPUT", help="The folder, or the file, of the new samples.")],
    model: Annotated[Path, typer.Option("--model", metavar="CKPT", help="A trained model; nothing else is needed.")],
    out: opt.Out = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="PATH", help="Write the predictions as a table as well.")
    ] = None,
    times: opt.Times = None,
    modality: opt.Modality = None,
    labels: opt.Labels = None,
    allow_missing: opt.AllowMissing = 0.0,
    raw: opt.Raw = False,
    level: opt.Level = None,
    recipe: opt.DataRecipe = None,
    overrides: opt.Overrides = None,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    fresh: opt.Fresh = False,
    max_minutes: opt.MaxMinutes = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Predict samples that the model has never seen, from raw files, labelled or not.

    The files are prepared with what was fitted when the model was trained: features are found by name, scaled as then.
    Writes predictions.h5ad, as omib embed does: class, probabilities, entropy, the classes (or the interval) that hold
    the truth nine times in ten (--level), and for each modality how unlike the training samples a sample is (novelty, 0
    to 1); of survival the log-hazard, and survival_T for each of --times. Where labels are there, omib evaluate makes a
    report of it.
    """
    with working(
        device=device, threads=threads, fresh=fresh, max_minutes=max_minutes, quiet=quiet, verbose=verbose
    ) as job:
        from omib_cli.stages import predict as stage

        target: Path = out or Path("predictions.h5ad")
        new = opt.new_data(input_path, recipe, overrides, modality, labels, allow_missing)
        result = stage.run(new, model, target, job, csv, opt.times_of(times), raw=raw, level=level)
        show_result(result, as_json=as_json)
