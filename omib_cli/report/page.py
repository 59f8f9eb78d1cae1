"""The report: one HTML page that needs nothing else, and the same numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omib_cli.artifacts.catalogue import REPORT_FILE
from omib_cli.artifacts.provenance import Provenance
from omib_cli.evaluation.conventions import convention, shown, shown_alike
from omib_cli.evaluation.metrics import Across, RunScores, across_runs
from omib_cli.evaluation.probes import Recovery
from omib_cli.evaluation.risk_groups import risk_groups
from omib_cli.evaluation.rows import RunRow, rows_of
from omib_cli.evaluation.runs import FUSED, Run
from omib_cli.evaluation.shares import ClassRecall, Coverage
from omib_cli.evaluation.subvectors import Subvector
from omib_cli.evaluation.sufficiency import Quantity
from omib_cli.report import blocks
from omib_cli.report.compression import beta_and_bounds, weights_in_words
from omib_cli.report.drawing import Rendered
from omib_cli.report.html import block, document, esc, paragraph, table, tag
from omib_cli.report.information import information_block
from omib_cli.report.novelty import likeness_block
from omib_cli.report.references import in_a_sentence, references_block

PAGE = "report.html"
FIGURES = "figures"


@dataclass(frozen=True)
class Chapter:
    """A run, its scores and figures, its information plane, and what is known of it where the data are simulated.

    That is what of the truth the embedding holds, and what sub-vectors of the data predict. ``recalls`` are of each
    class on the headline split, ``coverage`` of its sets of classes or intervals of values.
    """

    run: Run
    scores: RunScores
    pictures: list[Rendered]
    plane: list[Quantity] = field(default_factory=list)
    recovery: dict[str, Recovery] = field(default_factory=dict)
    subvectors: dict[str, Subvector] = field(default_factory=dict)
    recalls: dict[str, ClassRecall] = field(default_factory=dict)
    coverage: Coverage | None = None


def write_report(folder: Path, chapters: Sequence[Chapter], provenance: Provenance) -> None:
    """Write report.json, report.html and figures/ into an existing folder."""
    content = {"provenance": asdict(provenance), **facts(chapters)}
    (folder / REPORT_FILE).write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    (folder / PAGE).write_text(page(chapters, provenance), encoding="utf-8")
    for number, chapter in enumerate(chapters, start=1):
        place = folder / FIGURES if len(chapters) == 1 else folder / FIGURES / f"run-{number}"
        place.mkdir(parents=True)
        for picture in chapter.pictures:
            (place / f"{picture.name}.png").write_bytes(picture.png)
            (place / f"{picture.name}.svg").write_text(picture.svg, encoding="utf-8")


def facts(chapters: Sequence[Chapter]) -> dict[str, Any]:
    """The numbers of a report as JSON has them: ``runs``, and ``across`` them a row of each recipe, method and data."""
    rows = rows_of([chapter.run for chapter in chapters])
    return {
        "runs": [_run_facts(chapter) for chapter in chapters],
        "across": [_row_facts(row, [chapters[place] for place in row.places]) for row in rows],
    }


def _row_facts(row: RunRow, chapters: Sequence[Chapter]) -> dict[str, Any]:
    return {
        **row.plain(),
        "seeds": [chapter.run.recipe.seed for chapter in chapters],
        "metrics": {name: value.plain() for name, value in _spread(chapters, FUSED).items()},
    }


def _run_facts(chapter: Chapter) -> dict[str, Any]:
    run, scores = chapter.run, chapter.scores
    return {
        "embedding": run.provenance.hash,
        "name": run.recipe.name,
        "seed": run.recipe.seed,
        "method": run.recipe.fusion.method,
        "data": run.data,
        "task": run.recipe.task.kind,
        "modalities": run.modalities,
        "headline": run.headline,
        "samples": {
            split: {name: each.count for name, each in found.items()} for split, found in scores.splits.items()
        },
        "metrics": scores.plain(),
        "recall": {name: each.plain() for name, each in chapter.recalls.items()},
        "coverage": None if chapter.coverage is None else chapter.coverage.plain(),
        "constant_prediction": scores.baseline,
        "references": {name: each.plain() for name, each in scores.references.items()},
        "no_references": scores.no_references or None,
        "bootstrap": {"resamples": scores.bootstrap, "of": scores.resampled, "groups": scores.groups},
        "risk_groups": None if (groups := risk_groups(run)) is None else groups.plain(),
        "beta": run.beta,
        "information": run.information,
        "shift": run.provenance.notes.get("shift"),
        "doubts": run.provenance.notes.get("doubts"),
        "plane": {each.name: each.estimate.plain() for each in chapter.plane},
        "recovery": {name: each.plain() for name, each in chapter.recovery.items()},
        "subvectors": {name: each.plain() for name, each in chapter.subvectors.items()},
    }


def _spread(chapters: Sequence[Chapter], predictor: str) -> dict[str, Across]:
    return across_runs(
        [chapter.scores for chapter in chapters], [chapter.run.headline for chapter in chapters], predictor
    )


def page(chapters: Sequence[Chapter], provenance: Provenance) -> str:
    """The whole page; it loads nothing."""
    names = list(dict.fromkeys(chapter.run.recipe.name for chapter in chapters))
    title = ", ".join(names)
    if len(chapters) == 1:
        body = _header(title, _lead(chapters[0].run)) + _chapter(chapters[0], "run-1")
    else:
        body = _header(title, f"{len(chapters)} runs of the same task, together and one by one.")
        body += _overview(chapters)
        for number, chapter in enumerate(chapters, start=1):
            head = tag("h1", esc(_name(chapter, number))) + tag("p", esc(_lead(chapter.run)), cls="lead")
            body += f'<article id="run-{number}">{head}{_chapter(chapter, f"run-{number}")}</article>'
    made = f"Written {provenance.created} by omib {provenance.omib}: {provenance.command}"
    foot = tag("footer", paragraph(made, "foot"), paragraph(f"Content hash {provenance.hash}", "foot mono"))
    return document(title, body + foot)


def _header(title: str, lead: str) -> str:
    return tag("header", paragraph("omib report", "eyebrow"), tag("h1", esc(title)), paragraph(lead, "lead"))


def _lead(run: Run) -> str:
    kind = run.recipe.task.kind
    named = {"anomaly": "anomaly detection", "classification": f"{len(run.classes)}-class classification"}
    what = named.get(kind, kind)
    names = ", ".join(run.modalities)
    several = "modality" if len(run.modalities) == 1 else "modalities"
    return f"{what[0].upper()}{what[1:]} from {len(run.modalities)} {several} ({names}), seed {run.recipe.seed}."


def _name(chapter: Chapter, number: int) -> str:
    recipe = chapter.run.recipe
    return f"Run {number}: {recipe.name}, {recipe.fusion.method}, seed {recipe.seed}"


def _chapter(chapter: Chapter, prefix: str) -> str:
    run, scores = chapter.run, chapter.scores
    return "\n".join(
        [
            blocks.warnings_of(run, scores),
            blocks.headline(run, scores, in_a_sentence(run, scores)),
            references_block(run, scores),
            likeness_block(run),
            blocks.what_was_run(run, scores),
            blocks.figures(chapter.pictures, prefix),
            beta_and_bounds(run),
            weights_in_words(run),
            information_block(
                chapter.plane,
                chapter.recovery,
                chapter.subvectors,
                scores.splits[run.headline][FUSED].metrics.get("accuracy"),
                run.headline,
            ),
            blocks.all_metrics(run, scores),
            blocks.by_class(run, chapter.recalls),
            blocks.coverage_in_words(run, chapter.coverage),
            blocks.limits(run, scores),
            blocks.provenance(run),
        ]
    )


def _overview(chapters: Sequence[Chapter]) -> str:
    """Mean and standard deviation of each row and head, then all runs in one table."""
    links = [
        f'<a href="#run-{number}">{esc(_name(chapter, number))}</a>' for number, chapter in enumerate(chapters, start=1)
    ]
    rows = rows_of([chapter.run for chapter in chapters])
    splits = sorted({row.split for row in rows})
    note = (
        f"Each run's {' or '.join(splits)} split. A row is one recipe, method and data; its runs differ in their seed. "
        "± is the sample standard deviation over them, not an interval."
    )
    return block("Across runs", _means(rows, chapters), paragraph(note, "foot")) + block(
        "Run by run", _single(chapters, links)
    )


def _means(rows: Sequence[RunRow], chapters: Sequence[Chapter]) -> str:
    """A line for each row and head: which it is, of how many runs, and its metrics."""
    spreads: list[tuple[list[str], dict[str, Across], str]] = []
    for row in rows:
        own = [chapters[place] for place in row.places]
        seeds = ", ".join(str(chapter.run.recipe.seed) for chapter in own)
        name = f"{esc(row.name)}<small>n = {len(own)}, seed {seeds}</small>"
        heads = dict.fromkeys(head for chapter in own for head in chapter.scores.splits[row.split])
        spreads += [
            ([name, esc(own[0].run.head_label(head))], _spread(own, head), "strong" if head == FUSED else "")
            for head in heads
        ]
    metrics = list(dict.fromkeys(name for _, spread, _ in spreads for name in spread))
    lines = [[*names, *[_mean_cell(spread.get(name)) for name in metrics]] for names, spread, _ in spreads]
    titles = ["Runs", "Head", *[esc(convention(name).label) for name in metrics]]
    return table(titles, lines, names=2, looks=[look for _, _, look in spreads])


def _mean_cell(value: Across | None) -> str:
    if value is None or not value.count:
        return "–"
    if value.count == 1:
        return f"{shown(value.mean)}<small>n = 1</small>"
    return " ± ".join(shown_alike([value.mean, value.sd, 0.0])[:2])


def _single(chapters: Sequence[Chapter], links: Sequence[str]) -> str:
    fused = [chapter.scores.splits[chapter.run.headline][FUSED].metrics for chapter in chapters]
    metrics = list(dict.fromkeys(name for each in fused for name in each))
    rows = [
        [link, _beta(chapter.run), *[shown(each[name].value) if name in each else "–" for name in metrics]]
        for link, chapter, each in zip(links, chapters, fused, strict=True)
    ]
    return table(["Fused head", "β", *[esc(convention(name).label) for name in metrics]], rows)


def _beta(run: Run) -> str:
    return "–" if run.beta is None or run.beta.get("value") is None else esc(f"{run.beta['value']:.4g}")
