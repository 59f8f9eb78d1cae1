"""``omib evaluate``: signature and call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import working

EXAMPLES = opt.examples(
    "omib evaluate embedding.h5ad", "omib evaluate seed*/embedding.h5ad --bootstrap 2000 -o five-seeds"
)


def evaluate(
    embeddings: Annotated[
        list[Path], typer.Argument(metavar="EMBEDDING...", help="One or more files of omib embed, one per seed.")
    ],
    out: opt.Out = None,
    bootstrap: Annotated[
        int | None, typer.Option("--bootstrap", min=0, metavar="N", help="Resamples behind each 95 % interval.")
    ] = None,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    fresh: opt.Fresh = False,
    max_minutes: opt.MaxMinutes = None,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Measure predictions on the test split, with 95 % intervals, and draw what happened in training.

    Writes the folder report beside the first embedding: report.html to look at, report.json for programs, figures/.
    """
    target: Path = out or embeddings[0].with_name("report")
    with working(
        device=device, threads=threads, fresh=fresh, max_minutes=max_minutes, quiet=quiet, verbose=verbose
    ) as job:
        from omib_cli.stages import evaluate as stage

        show_result(stage.run(embeddings, target, job, bootstrap), as_json=as_json)
