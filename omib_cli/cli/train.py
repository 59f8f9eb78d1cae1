"""``omib train``: signature and call."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import recipe_for, show_plan, working

EXAMPLES = opt.examples(
    "omib train sim-i.h5", "omib train rosmap.h5 --information information.h5 --warmup warmup.safetensors --seed 3"
)


class Freeze(StrEnum):
    """Parts of a model."""

    encoders = "encoders"


def train(
    dataset: opt.Dataset,
    recipe: opt.Recipe = None,
    information: Annotated[
        Path | None,
        typer.Option("--information", metavar="FILE", help="From omib estimate-mi; else estimated first."),
    ] = None,
    warmup: Annotated[
        Path | None, typer.Option("--warmup", metavar="CKPT", help="From omib warmup; else done first.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start-from", metavar="CKPT", help="Train this model further, on a new cohort."),
    ] = None,
    freeze: Annotated[
        Freeze | None, typer.Option("--freeze", help="What of it stays as it is: the rest learns.")
    ] = None,
    out: opt.Out = None,
    overrides: opt.Overrides = None,
    seed: opt.Seed = None,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    memory: opt.Memory = None,
    precision: opt.Precision = None,
    compiled: opt.Compile = False,
    fresh: opt.Fresh = False,
    max_minutes: opt.MaxMinutes = None,
    dry_run: opt.DryRun = False,
    as_json: opt.AsJson = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Train the whole network, with beta inside its bound and the relative weights at each step (Algorithm 2).

    Writes model.safetensors beside the dataset, and every epoch's losses to model.metrics.jsonl; omib embed turns it
    and a dataset into embeddings and predictions. With --start-from, a trained model is trained further on a new
    cohort, prepared with omib prepare --like MODEL --split train: without warm-up, with the model's recipe and beta.
    """
    target: Path = out or dataset.with_name("model.safetensors")
    with working(
        device=device,
        threads=threads,
        memory=memory,
        compiled=compiled,
        fresh=fresh,
        max_minutes=max_minutes,
        quiet=quiet,
        verbose=verbose,
        divisible=True,
    ) as job:
        from omib_cli.artifacts.dataset import Dataset

        with Dataset(dataset) as data:
            settings = opt.with_precision(overrides, precision)
            settings += [f"train.freeze=[{freeze.value}]"] if freeze else []
            resolved = recipe_for(data, recipe, settings, seed, start)
            from omib_cli.stages import train as stage

            if not dry_run:
                show_result(stage.run(resolved, data, target, job, information, warmup, start), as_json=as_json)
                return
            from omib_cli.stages.rehearsal import rehearse

            given = {"information": information, "warmup": warmup, "start": start}
            stage.must_start(resolved, data, **given)
            steps, trial = stage.plan(resolved, data, target, **given), rehearse(resolved, data, job, main=True)
            show_plan(resolved, steps, target, as_json=as_json, trial=trial, dataset=dataset, **given)
