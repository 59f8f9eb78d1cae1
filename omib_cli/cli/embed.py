"""``omib embed``: signature and call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import working

EXAMPLES = opt.examples(
    "omib embed sim-i.h5 --model model.safetensors",
    "omib embed new-patients.h5 --model model.safetensors -o new-patients.h5ad",
)


def embed(
    dataset: opt.Dataset,
    model: Annotated[Path, typer.Option("--model", metavar="CKPT", help="A trained model, from omib train.")],
    out: opt.Out = None,
    raw: opt.Raw = False,
    level: opt.Level = None,
    times: opt.Times = None,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    fresh: opt.Fresh = False,
    max_minutes: opt.MaxMinutes = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Embed every sample of a dataset and predict its label.

    Writes embedding.h5ad beside the dataset, an AnnData file that scanpy opens: the embedding in X, predictions and
    splits in obs, spreads and each modality's own scores in obsm; of survival also survival_T for each of --times.
    omib evaluate makes a report of it.
    """
    target: Path = out or dataset.with_name("embedding.h5ad")
    with working(
        device=device,
        threads=threads,
        fresh=fresh,
        max_minutes=max_minutes,
        quiet=quiet,
        verbose=verbose,
        divisible=True,
    ) as job:
        from omib_cli.stages import embed as stage

        show_result(stage.run(dataset, model, target, job, opt.times_of(times), raw=raw, level=level), as_json=as_json)
