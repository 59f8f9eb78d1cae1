"""The report's words and table on references: what simple models reach on the same samples."""

from __future__ import annotations

import math

from omib_cli.evaluation.conventions import convention, shown
from omib_cli.evaluation.metrics import RunScores, Scores
from omib_cli.evaluation.references import label_of
from omib_cli.evaluation.runs import FUSED, Run
from omib_cli.report.blocks import in_text, interval_text, metric_cell
from omib_cli.report.html import block, esc, paragraph, table


def in_a_sentence(run: Run, scores: RunScores) -> str:
    """What a linear model reaches, after a space; nothing where there is none."""
    metric = run.task.main_metric
    if "linear" not in scores.references or metric not in scores.references["linear"].metrics:
        return ""
    estimate = scores.references["linear"].metrics[metric]
    words = f" A linear model on the same samples reaches {in_text(metric)} {shown(estimate.value)}"
    interval = interval_text(estimate)
    return f"{words} ({interval})." if interval else f"{words}."


def references_block(run: Run, scores: RunScores) -> str:
    """The table of the fused prediction beside the references, or why there are none."""
    if not scores.references:
        why = paragraph(f"None: {scores.no_references}.", "foot")
        return block("Simple models on the same samples", why) if scores.no_references else ""
    fused = scores.splits[run.headline][FUSED]
    names = [name for name in fused.metrics if math.isfinite(fused.metrics[name].value)]
    rows = [_row("fused prediction", fused, names)]
    rows += [_row(label_of(name, run), each, names) for name, each in scores.references.items()]
    titles = [run.headline.capitalize(), *[esc(convention(name).label) for name in names]]
    looks = ["strong", *[""] * len(scores.references)]
    return block(
        "Simple models on the same samples", table(titles, rows, looks=looks), paragraph(_how(run, scores), "foot")
    )


def _row(label: str, scores: Scores, names: list[str]) -> list[str]:
    return [esc(label), *[metric_cell(scores, name) for name in names]]


def _how(run: Run, scores: RunScores) -> str:
    """How the models came about, in words."""
    words = (
        "Fitted to the training split alone, on the columns of all modalities side by side, each of mean 0 and "
        "variance 1 (of a `block` as the network sees it); a missing modality has the training samples’ mean. "
    )
    is_survival = run.recipe.task.kind == "survival"
    words += "Cox regression with a ridge penalty" if is_survival else "scikit-learn’s models as they come"
    if any(name.startswith("linear") for name in scores.references):
        words += "; a linear one’s penalty by cross-validation inside the training split"
    same = "; same samples and resamples as the fused prediction" if scores.bootstrap else "; same samples as above"
    left_out = f" No trees: {scores.no_references}." if scores.no_references else ""
    lesson = "Where a simple model reaches as much, these samples do not show that the network adds anything."
    return f"{words}{same}.{left_out} {lesson}"
