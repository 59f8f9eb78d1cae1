"""``omib evaluate``: signature and call."""

from __future__ import annotations

import hashlib
import os
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
    dataset: Annotated[
        list[Path] | None,
        typer.Option(
            "--dataset",
            metavar="FILE",
            help="What was embedded, to fit simple models to for comparison; else dataset.h5 beside it. Repeat.",
        ),
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

    Writes the folder report beside the embedding: report.html to look at, report.json for programs, figures/. Of
    several embeddings it is called report-of-N-..., after their paths, in the folder that they have in common.
    """
    target: Path = out or default_report(embeddings)
    with working(
        device=device, threads=threads, fresh=fresh, max_minutes=max_minutes, quiet=quiet, verbose=verbose
    ) as job:
        from omib_cli.stages import evaluate as stage

        show_result(stage.run(embeddings, target, job, bootstrap, dataset or ()), as_json=as_json)


def default_report(embeddings: list[Path]) -> Path:
    """Where a report goes that was given no place: never where another choice of embeddings has its own."""
    if len(embeddings) == 1:
        return embeddings[0].with_name("report")
    paths = [path.absolute() for path in embeddings]
    common = Path(os.path.commonpath([path.parent for path in paths]))
    digest = hashlib.sha256("\n".join(str(path.relative_to(common)) for path in paths).encode()).hexdigest()
    return Path(os.path.relpath(common)) / f"report-of-{len(paths)}-{digest[:8]}"
