"""``omib warmup``: signature and call."""

from __future__ import annotations

from pathlib import Path

from omib_cli.cli import options as opt
from omib_cli.cli.console import show_result
from omib_cli.cli.session import recipe_for, show_plan, working

EXAMPLES = opt.examples("omib warmup sim-i.h5", "omib warmup rosmap.h5 --set warmup.epochs=2 -o warm2.safetensors")


def warmup(
    dataset: opt.Dataset,
    recipe: opt.Recipe = None,
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
    """Train each modality's encoder alone (Algorithm 1).

    Writes warmup.safetensors beside the dataset: the encoders, each with a prediction head of its own. omib train
    starts from it, and omib estimate-mi can estimate on its encodings.
    """
    target: Path = out or dataset.with_name("warmup.safetensors")
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
            resolved = recipe_for(data, recipe, opt.with_precision(overrides, precision), seed)
            from omib_cli.stages import warmup as stage

            if not dry_run:
                show_result(stage.run(resolved, data, target, job), as_json=as_json)
                return
            from omib_cli.stages.plan import warmup_step
            from omib_cli.stages.rehearsal import rehearse

            stage.must_start(resolved, data)
            steps, trial = [warmup_step(resolved, data, target)], rehearse(resolved, data, job, main=False)
            show_plan(resolved, steps, target, as_json=as_json, trial=trial, dataset=dataset)
