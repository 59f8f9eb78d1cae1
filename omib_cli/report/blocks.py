"""The blocks of one run's report, as HTML."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from omib_cli.evaluation.conventions import convention, shown, shown_alike
from omib_cli.evaluation.metrics import SHARES, Measurement, RunScores, Scores
from omib_cli.evaluation.runs import FUSED, Run
from omib_cli.evaluation.shares import ClassRecall, Coverage
from omib_cli.report.drawing import Rendered, inline
from omib_cli.report.figures import headline_metrics
from omib_cli.report.html import block, details, esc, pairs, paragraph, table, tag

CARDS = 6
"""Most metrics above the figures; the table has them all."""


def warnings_of(run: Run, scores: RunScores) -> str:
    """What a reader must know before the first number."""
    found = [f"{doubt}." for doubt in run.provenance.notes.get("doubts") or []]
    if not run.is_held_out:
        found.append(
            f"This embedding has no test split. The numbers below are of the {run.headline} split" + _why_not_new(run)
        )
    if run.beta is not None and run.beta.get("above"):
        found.append(
            "β is above the paper's upper bound: its guarantee that nothing task-relevant is lost does not hold."
        )
    if run.beta is not None and run.beta.get("above_objective"):
        found.append(
            "β is above the bound of the loss that is minimised: the penalty may have cost task-relevant information."
        )
    groups = scores.groups.get(run.headline)
    several = "group" if groups == 1 else "groups"
    if scores.bootstrap and run.headline != "train" and scores.resampled[run.headline] == "samples" and groups:
        found.append(
            f"The {run.headline} split has only {groups} {several}, too few to resample; intervals treat "
            "samples as independent and are probably too narrow."
        )
    return "".join(paragraph(text, "warn") for text in found)


def _why_not_new(run: Run) -> str:
    """Why the numbers of a split that is no test split are not those of new data."""
    if run.headline == "train":
        return ", on which the model was fitted: they say nothing about new data."
    if run.selects_epoch:
        return ", which chose the epoch that was kept: they are optimistic for new data."
    return ", which may have guided the choice of settings: they are then optimistic for new data."


def what_was_run(run: Run, scores: RunScores) -> str:
    """Recipe, data and network in a list."""
    sizes = run.sizes
    rows: list[tuple[str, object]] = [
        ("Recipe", run.recipe.name),
        ("Seed", run.recipe.seed),
        ("Fusion method", run.recipe.fusion.method),
        ("Task", run.recipe.task.kind + (f", {len(run.classes)} classes" if run.classes else "")),
        ("Modalities", ", ".join(run.modalities)),
        ("Samples", ", ".join(f"{count:,} {name}" for name, count in sizes.items())),
        ("Width of ξ", run.values.shape[1]),
        ("Epochs", _epochs(run)),
    ]
    if (temperature := run.provenance.facts.get("temperature")) is not None:
        rows.append(("Probabilities", f"logits divided by {temperature:.3g}, fitted on the validation split"))
    if run.groups is not None:
        rows.append(("Groups", _groups(run, scores)))
    return block("What was run", pairs(rows), _command(run))


def _groups(run: Run, scores: RunScores) -> str:
    """How many groups there are, and what the intervals make of them."""
    count = 0 if run.groups is None else len(np.unique(run.groups))
    own = scores.groups.get(run.headline, 0)
    how = {
        "groups": "each resampled whole",
        "samples": "too few to be resampled whole",
        "samples within groups": "each judged by itself, its samples resampled",
    }[scores.resampled[run.headline]]
    return f"{count:,} in all; {own:,} in the {run.headline} split, {how}"


def _epochs(run: Run) -> str:
    phases = {name: [row for row in run.history if row.get("phase") == name] for name in ("warmup", "train")}
    kept = [row["epoch"] for row in phases["train"] if row.get("kept")]
    seconds = sum(float(row.get("seconds") or 0.0) for row in run.history)
    text = f"{len(phases['warmup'])} warm-up, {len(phases['train'])} main"
    return text + (f"; kept {kept[-1]}" if kept else "") + (f"; {seconds:.0f} s" if seconds >= 1 else "")


def _command(run: Run) -> str:
    return (
        tag("p", "Embedded by ", tag("code", esc(run.provenance.command)), cls="foot") if run.provenance.command else ""
    )


def headline(run: Run, scores: RunScores, more: str = "") -> str:
    """The fused prediction's metrics on the headline split, large; ``more`` sentences below them."""
    fused = scores.splits[run.headline][FUSED]
    first = headline_metrics(run, scores)
    names = [name for name in dict.fromkeys([*first, *fused.metrics]) if _is_known(fused, name)][:CARDS]
    if not names:
        words = f"No metric is defined on the {fused.count:,} {run.headline} samples: {_why_undefined(run)}."
        return block("Result", paragraph(words))
    cards = [_card(name, fused.metrics[name], i == 0) for i, name in enumerate(names)]
    words = f"Fused prediction on {_judged(run, fused)}"
    if any(math.isfinite(fused.metrics[name].low) for name in names):
        words += f"; ranges are 95 % intervals from {scores.bootstrap:,} bootstrap resamples of {_unit(run, scores)}"
        if scores.resampled[run.headline] == "samples" and any(name in SHARES for name in names):
            words += ", those of shares of samples exact (Clopper and Pearson)"
    if scores.baseline is not None:
        words += (
            f". Predicting the training split's {_usual(run)} for every sample reaches {in_text(first[0])} "
            f"{shown(scores.baseline)}"
        )
    return block("Result", tag("div", *cards, cls="cards"), paragraph(f"{words}.{more}", "foot"))


def _is_known(scores: Scores, metric: str) -> bool:
    return metric in scores.metrics and math.isfinite(scores.metrics[metric].value)


def _why_undefined(run: Run) -> str:
    labels = run.labels[(run.split == run.headline) & np.isfinite(run.labels)]
    return "none of them has a label" if not len(labels) else "their labels do not differ enough"


def _judged(run: Run, fused: Scores) -> str:
    """The samples behind the numbers, in words; of several groups that are judged by themselves, the mean over them."""
    known = int(np.isfinite(run.labels[(run.split == run.headline) & run.predictors[0].present]).sum())
    words = f"{fused.count:,} {run.headline} samples"
    if known < fused.count:
        words = f"the {known:,} of {fused.count:,} {run.headline} samples that have a label"
    if len(fused.by_group) > 1:
        words += f": each number is the mean over {len(fused.by_group):,} sections, each judged by itself"
    return words


def _usual(run: Run) -> str:
    return "median" if run.task.main_metric == "mae" else "most frequent class"


def in_text(metric: str) -> str:
    """What a metric is called within a sentence."""
    label = convention(metric).label
    return label.lower() if label == label.capitalize() else label


def _unit(run: Run, scores: RunScores) -> str:
    if scores.resampled[run.headline] == "groups":
        return f"the {scores.groups[run.headline]:,} groups, each taken whole"
    return "the samples" + (" of each section" if scores.resampled[run.headline] == "samples within groups" else "")


def _card(metric: str, estimate: Measurement, main: bool) -> str:
    return tag(
        "div",
        tag("div", esc(convention(metric).label), cls="name"),
        tag("div", esc(shown(estimate.value)), cls="value"),
        tag("div", esc(interval_text(estimate) or "no interval"), cls="range"),
        cls="card main" if main else "card",
    )


def interval_text(estimate: Measurement) -> str:
    """``0.81 to 0.86``, or nothing."""
    if not math.isfinite(estimate.low):
        return ""
    return " to ".join(shown_alike([estimate.low, estimate.high]))


def figures(pictures: Sequence[Rendered], prefix: str) -> str:
    """All figures with their captions."""
    return block("Figures", tag("div", *[_figure(each, f"{prefix}-{each.name}") for each in pictures], cls="figures"))


def _figure(picture: Rendered, identity: str) -> str:
    image = inline(picture.svg, identity).replace(
        "<svg", f'<svg role="img" aria-label="{esc(picture.title)}: {esc(picture.caption)}"', 1
    )
    caption = tag("figcaption", tag("h3", esc(picture.title)), esc(picture.caption))
    return tag("figure", tag("div", image, cls="plot"), caption, cls="wide" if picture.wide else "")


def all_metrics(run: Run, scores: RunScores) -> str:
    """Every metric of every split and head, and what each metric is; those that no head has anywhere are left out."""
    splits = [_split_table(run, scores, split) for split in scores.splits] + [_group_table(scores, run.headline)]
    names = _metric_names(each for split in scores.splits.values() for each in split.values())
    if not names:
        return ""
    notes = [tag("li", tag("strong", esc(convention(name).label)), ": ", esc(convention(name).words)) for name in names]
    return block("All metrics", *splits, _skipped(scores), tag("ul", *notes, cls="foot"))


def _metric_names(scores: Iterable[Scores]) -> list[str]:
    """Metrics that have a value for one of them at least: a row of dashes tells nothing."""
    return list(dict.fromkeys(name for each in scores for name in each.metrics if _is_known(each, name)))


def _split_table(run: Run, scores: RunScores, split: str) -> str:
    """Metrics in rows, heads in columns."""
    heads = scores.splits[split]
    names = _metric_names(heads.values())
    if not names:
        return ""
    head = [esc(split.capitalize()), *[_head_cell(run.head_label(name), each) for name, each in heads.items()]]
    rows = [[esc(convention(name).label), *[metric_cell(each, name) for each in heads.values()]] for name in names]
    main = split == run.headline
    return table(
        head, rows, looks=["strong" if main and i == 0 else "" if main else "minor" for i in range(len(names))]
    )


def _group_table(scores: RunScores, split: str) -> str:
    """The fused head's metrics in each group, for tasks that are judged group by group."""
    fused = scores.splits[split][FUSED]
    names = _metric_names([fused])
    if not fused.by_group or not names:
        return ""
    rows = [
        [esc(group), *[metric_cell(Scores(0, metrics), name) for name in names]]
        for group, metrics in fused.by_group.items()
    ]
    mean = ["mean over sections", *[metric_cell(fused, name) for name in names]]
    head = [f"{esc(split.capitalize())}, by section", *[esc(convention(name).label) for name in names]]
    return table(head, [*rows, mean], looks=[*[""] * len(rows), "strong"])


def by_class(run: Run, recalls: Mapping[str, ClassRecall]) -> str:
    """The recall of each class on the headline split."""
    if not recalls:
        return ""
    rows = [
        [esc(name), f"{each.count:,}", metric_cell(Scores(0, {"recall": each.recall}), "recall")]
        for name, each in recalls.items()
    ]
    head = [f"{esc(run.headline.capitalize())}, by class", "Samples", "Recall"]
    note = "Recall: share of a class's samples that the fused head predicts right."
    return block("By class", table(head, rows), paragraph(note, "foot"))


def coverage_in_words(run: Run, found: Coverage | None) -> str:
    """How often the sets or intervals hold the truth, against how often they are to."""
    if found is None:
        return ""
    what, sizes = ("intervals", f"they are {shown(found.size)} wide, in the unit of the label")
    if run.classes:
        what = "sets of classes"
        sizes = f"they have {shown(found.size)} classes on average, {found.single:.0%} of them a single one"
    words = (
        f"The {what} that are to hold the truth of {found.level:.1%} of the samples hold it of "
        f"{found.share.value:.1%} of {found.count:,} {run.headline} samples"
        f"{_range(found.share)}; {sizes}. They are of the {run.provenance.facts.get('held_out', 0):,} validation "
        "samples' errors (split-conformal), and promise that for samples of the same kind; samples of one group, or of "
        "another place, are not."
    )
    return block("Coverage", paragraph(words))


def _range(estimate: Measurement) -> str:
    return f" ({estimate.low:.1%} to {estimate.high:.1%})" if math.isfinite(estimate.low) else ""


def _head_cell(label: str, scores: Scores) -> str:
    return f"{esc(label)}<small>n = {scores.count:,}</small>"


def metric_cell(scores: Scores, metric: str) -> str:
    """A metric with its interval below it, for a table."""
    estimate = scores.metrics.get(metric)
    if estimate is None:
        return "–"
    return shown(estimate.value) + (f"<small>{interval_text(estimate)}</small>" if interval_text(estimate) else "")


def _skipped(scores: RunScores) -> str:
    counts = [e.skipped for split in scores.splits.values() for each in split.values() for e in each.metrics.values()]
    if not any(counts):
        return ""
    return paragraph(
        f"Resamples in which a metric is undefined (a class without a sample, a constant prediction) were left out: at "
        f"most {max(counts):,} of {scores.bootstrap:,} for any one number.",
        "foot",
    )


def limits(run: Run, scores: RunScores) -> str:
    """What limits the numbers."""
    count = scores.splits[run.headline][FUSED].count
    lines = [
        f"The {run.headline} split has {count:,} samples; one sample is {1 / count:.4f} of an accuracy."
        if run.task.main_metric == "accuracy"
        else f"The numbers are of {_judged(run, scores.splits[run.headline][FUSED])}.",
        "An interval covers the choice of samples, not the choice of split or seed. Several seeds, evaluated together, "
        "show that part.",
    ]
    if run.recipe.task.kind == "survival":
        events = int((run.labels[run.split == run.headline] > 0).sum())
        lines[0] += f" {events:,} of them had the event, and it is their number that decides how sure one can be."
    if scores.bootstrap == 0:
        lines[1] = "No intervals were computed (bootstrap 0)."
    if "train" in scores.splits and run.headline != "train":
        lines.append("Numbers of the training split show how closely the model fitted it, and so carry no interval.")
    if "validation" in scores.splits and run.headline == "test":
        why = "selected the epoch that was kept, so its numbers are optimistic."
        if not run.selects_epoch:
            why = "took no part in training; where it guided the choice of settings, its numbers are optimistic."
        lines.append(f"The validation split {why}")
    if any(not predictor.present.all() for predictor in run.predictors):
        lines.append(
            "Some samples lack a modality. Its branch is judged on the others alone (n in the table), so heads "
            "are not about exactly the same samples."
        )
    if run.information is not None:
        lines.append(
            "The bounds on β follow from the number of samples alone: no information was estimated."
            if run.information.get("estimator") == "saturation"
            else "The bounds on β inherit the error of estimated information; H(v) = I(v; v) above all."
        )
    return block("What limits these numbers", tag("ul", *[tag("li", esc(line)) for line in lines]))


def provenance(run: Run) -> str:
    """Hashes, versions, time, and the whole recipe."""
    found = run.provenance
    rows: list[tuple[str, object]] = [
        ("Embedding", found.hash),
        *[(f"Made from {kind}", value) for kind, value in found.parents.items()],
        ("File", run.path),
        ("Made", f"{found.created} by omib {found.omib}, Python {found.python}"),
        ("On", f"{found.device}, {found.threads} threads"),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in found.libraries.items())),
    ]
    recipe = json.dumps(run.recipe.resolved(), indent=2, ensure_ascii=False)
    return block(
        "Provenance",
        tag("div", pairs(rows), cls="long foot"),
        details("The whole recipe, defaults filled in", tag("pre", esc(recipe))),
    )
