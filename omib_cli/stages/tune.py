"""``omib tune``: try settings, keep the best as a recipe, and say whether it is better than the one it came from."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omib_cli.artifacts.files import replacing
from omib_cli.errors import NumericError
from omib_cli.evaluation.tuning import AS_IT_IS, Margin, TrialRow, Tuning
from omib_cli.recipe.writing import comment, recipe_text
from omib_cli.report.drawing import styled
from omib_cli.report.tuning import tuning_figure, tuning_page
from omib_cli.runtime.job import Job
from omib_cli.runtime.lock import exclusive
from omib_cli.stages.cells import Cell, Launch
from omib_cli.stages.grid import cell_of, run_cells, run_supply
from omib_cli.stages.searching import Search, SearchPlan, forget_weights, judged, must_be_judged, trial_name


@dataclass(frozen=True)
class TuneResult:
    """What a search has found, and the recipe of the best trial."""

    out: Path
    found: Tuning
    recipe: Path


def run(plan: SearchPlan, launch: Launch, job: Job, *, jobs: int = 1, seeds: int = 3) -> TuneResult:
    """Run the trials that there are not yet, then write what they come to.

    Writes into ``launch.out``: ``RECIPE-tuned.yaml``, and ``RECIPE.md``, ``.json``, ``.csv``, ``.png`` and ``.html``.

    Parameters
    ----------
    seeds
        With how many other seeds the best trial and the recipe as it is are run again; 0 for no such comparison.

    Raises
    ------
    UsageError
        There is nothing to judge trials by.
    StaleError
        The folder is that of another search.
    NumericError
        No trial could be run to its end.
    Interrupted
        A stop was asked for.
    """
    learn, judge = must_be_judged(plan, launch, job)
    search = Search(plan, launch, job, at_once=jobs)
    run_supply(search, launch, jobs, job)
    rows, best = search.rows(), search.best()
    if waiting := [row for row in rows if row.state == "at work"]:
        job.progress.note(f"{len(waiting)} trials are at work in other processes: the report is of the others")
    margin = None
    if best is not None and best.number != AS_IT_IS and seeds and not waiting:
        margin = _margin(search, best, launch, job, jobs, seeds, judge / learn)
    name = search.recipe.name
    file = launch.out / f"{name}-tuned.yaml"
    ended = [row for row in rows if row.state != "at work"]
    found = Tuning(name, search.metric, ended, plan.inner, file.name, search.ledger.importance(), margin)
    with exclusive(launch.out / f".{name}.lock", job):
        text = "" if best is None else best_recipe(search, best, found, launch.input_path)
        _write(launch.out / name, found, text)
        if best is not None:
            _replace(file, text)
    if best is None and ended:
        raise NumericError(
            f"none of {len(ended)} trials could be run to its end",
            where=launch.out / f"{name}.md",
            got=ended[0].reason or ended[0].state,
            do="see whether the recipe as it is runs: omib run",
        )
    return TuneResult(launch.out, found, file)


def _margin(
    search: Search, best: TrialRow, launch: Launch, job: Job, jobs: int, seeds: int, ratio: float
) -> Margin | None:
    """The best trial and the recipe as it is with other seeds, on the same samples each time; None if none has run."""
    plan = search.plan
    sides = [(trial_name(AS_IT_IS), {}), (trial_name(best.number), search.tried(best))]
    own, chosen = (
        [cell for later in range(1, seeds + 1) for cell in plan.cells(name, tried, launch.out, seed=plan.seed + later)]
        for name, tried in sides
    )
    pairs = list(zip(own, chosen, strict=True))
    run_cells([cell for pair in pairs for cell in pair], launch, jobs, job)
    scored = [(_score(one, search.metric), _score(other, search.metric)) for one, other in pairs]
    found = [(one, other) for one, other in scored if one is not None and other is not None]
    for cell in (*own, *chosen):
        forget_weights(cell.folder)
    if not found:
        return None
    return Margin([other for _, other in found], [one for one, _ in found], seeds, ratio)


def _score(cell: Cell, metric: str) -> float | None:
    """What a run reached on its validation samples; None where it failed, or the metric is not defined."""
    found = judged(cell, metric) if cell.record.state == "done" else None
    return None if found is None else found[0]


def best_recipe(search: Search, best: TrialRow, found: Tuning, input_path: Path | None) -> str:
    """The recipe of the best trial as a file: every key, and where it is from."""
    plan = search.plan
    variant = replace(plan.variant, overrides={**plan.variant.overrides, **search.tried(best)})
    recipe = cell_of(plan.reference, variant, plan.seed, search.folder, plan.overrides, fold=plan.fold).recipe
    values = {key: value for key, value in recipe.resolved().items() if key != "tune"}
    values["name"] = f"{recipe.name}-tuned"
    reads = [] if input_path is None else ["--input", str(input_path)]
    head = [f"# {shlex.join(['omib', 'run', found.file, *reads])}", "#"]
    by = f"{plan.inner} inner folds" if plan.inner else "the validation split"
    head += comment(
        f"Trial {best.number} of {len(found.rows)} of omib tune {plan.reference}, seed {plan.seed}, judged by "
        f"{found.metric} on {by}: {best.score:.4g}. {found.verdict}"
    )
    said = [f"{key}: {json.dumps(value)}" for key, value in search.tried(best).items()]
    head += [line for each in ["", *(said or ["nothing is changed"])] for line in comment(each)]
    return "\n".join([*head, recipe_text(values)])


def _write(stem: Path, found: Tuning, text: str) -> None:
    """The files of a search."""
    drawn = styled(lambda: tuning_figure(found))
    svg, png = drawn or ("", b"")
    _replace(stem.with_name(stem.name + ".md"), found.markdown() + "\n")
    _replace(stem.with_name(stem.name + ".json"), json.dumps(found.plain(), indent=1, allow_nan=False) + "\n")
    _replace(stem.with_name(stem.name + ".csv"), _csv(found.rows, found.keys))
    _replace(stem.with_name(stem.name + ".html"), tuning_page(found, svg, text))
    if png:
        with replacing(stem.with_name(stem.name + ".png")) as temporary:
            temporary.write_bytes(png)


def _csv(rows: Sequence[TrialRow], keys: Sequence[str]) -> str:
    """A line for each trial, whatever became of it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    most = max((len(row.scores) for row in rows), default=0)
    folds = [f"score {number}" for number in range(1, most + 1)] if most > 1 else []
    writer.writerow(["trial", "state", "reason", "seconds", "score", "loss", *folds, *keys])
    for row in rows:
        facts = row.plain()
        known = [
            "" if facts[name] is None else facts[name]
            for name in ("trial", "state", "reason", "seconds", "score", "loss")
        ]
        scores = [*row.scores, *[""] * len(folds)][: len(folds)]
        writer.writerow([*known, *scores, *(_cell(row.values.get(key)) for key in keys)])
    return buffer.getvalue()


def _cell(value: object) -> object:
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else json.dumps(value)


def _replace(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
