"""The figures of a run's report, in the order in which they are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from omib_cli.evaluation.conventions import convention, shown
from omib_cli.evaluation.metrics import RunScores, Scores
from omib_cli.evaluation.references import label_of
from omib_cli.evaluation.risk_groups import risk_groups
from omib_cli.evaluation.runs import FUSED, Run
from omib_cli.report.curves import loss_figure, weight_figure
from omib_cli.report.drawing import Rendered, styled
from omib_cli.report.maps import MOST_POINTS, lay_out, map_figure, thinned
from omib_cli.report.novelty import novelty_figure
from omib_cli.report.predictions import ANNOTATED, ROOMY, confusion, confusion_figure, scatter_figure
from omib_cli.report.probabilities import MOST_CURVES, rankings, reliability_figure, threshold_figure
from omib_cli.report.strip import beta_figure, comparison_figure
from omib_cli.report.survival import p_in_words, survival_figure
from omib_cli.report.tissue import left_out, score_figure, tissue_figure
from omib_cli.runtime.seeds import derive_seed
from omib_cli.tasks.calibration import binned, confidence_and_hits, error_by_chance

SECOND = {"accuracy": "auc", "mae": "pearson_r", "auc": "f1", "concordance": "time_dependent_auc"}
"""The metric shown beside the main one."""
DRAWN_REFERENCES = ("linear", "forest", "boosting")
"""Simple models that the comparison shows."""


def headline_metrics(run: Run, table: RunScores) -> list[str]:
    """The main metric, and the one that is read beside it."""
    main = run.task.main_metric
    there = table.splits[run.headline][FUSED].metrics
    return [main, *([SECOND[main]] if SECOND.get(main) in there else [])]


def draw_run(run: Run, table: RunScores) -> list[Rendered]:
    """Every figure of a run; one that has nothing to show is left out."""
    makers = (_comparison, _predictions, _reliability, _thresholds, _novelty, _tissue, _map, _losses, _weights, _beta)
    return [picture for make in makers for picture in make(run, table)]


def _picture(
    name: str, title: str, caption: str, draw: Callable[[], Figure | None], wide: bool = True
) -> Iterator[Rendered]:
    if (rendered := styled(draw)) is not None:
        yield Rendered(name, title, caption, *rendered, wide)


def _comparison(run: Run, table: RunScores) -> Iterator[Rendered]:
    scores = table.splits[run.headline]
    metrics = [name for name in headline_metrics(run, table) if _is_known(name, scores.values())]
    if not metrics:  # without labels nothing can be compared
        return
    # The constant is the dashed line, and single modalities are in the table.
    others = {f"{name} ": each for name, each in table.references.items() if name in DRAWN_REFERENCES}
    labels = {name: run.head_label(name) for name in scores}
    labels |= {name: label_of(name.strip(), run) for name in others}
    caption = (
        f"Each prediction head on the {run.headline} split: the fused one (diamond) and each modality's own branch. "
    )
    if run.branches_see_embedding:
        caption += (
            "A branch sees its modality and the embedding ξ, as in main training: not what the modality would reach "
            "alone. "
        )
    if table.bootstrap:
        caption += "Bars are 95 % bootstrap intervals"
        same = all(predictor.present.all() for predictor in run.predictors)
        caption += (
            "; all heads are judged on the same resamples, so bars that overlap can still differ. " if same else ". "
        )
    if others:
        caption += "Grey: simple models on the same samples. "
    if table.baseline is not None:
        caption += "The dashed line is what predicting the same for every sample would reach."
    yield from _picture(
        "comparison",
        "Fused and by modality",
        caption.strip(),
        lambda: comparison_figure({**scores, **others}, metrics, labels, run.modalities, table.baseline),
    )


def _is_known(metric: str, heads: Iterable[Scores]) -> bool:
    """Whether a metric has a value for some head."""
    return any(metric in head.metrics and math.isfinite(head.metrics[metric].value) for head in heads)


def _predictions(run: Run, table: RunScores) -> Iterator[Rendered]:
    rows = run.split == run.headline
    guess, truth = run.task.prediction(run.predictors[0].scores[rows]), run.labels[rows]
    if run.scores_anomalies:
        caption = (
            f"Squared distance of {len(truth):,} {run.headline} samples from the centre of what is normal, by section. "
            "Each section is judged by itself: what counts is how far its anomalies lie to the right of its normal "
            "samples."
        ) + left_out(None if run.groups is None else run.groups[rows])
        yield from _picture(
            "scores",
            "Scores of normal and anomalous samples",
            caption,
            lambda: score_figure(guess, truth, None if run.groups is None else run.groups[rows]),
        )
        return
    if not np.isfinite(truth).any():
        return
    if run.recipe.task.kind == "survival":
        yield from _survival(run)
        return
    if run.classes:
        counts = confusion(truth.astype(np.intp), guess.astype(np.intp), len(run.classes))
        cell = "Each cell gives the count and its share" if len(run.classes) <= ANNOTATED else "The colour is the share"
        caption = (
            f"{len(truth):,} {run.headline} samples by true (rows) and predicted class (columns). {cell} of the row; a "
            "perfect model has everything on the diagonal."
        )
        yield from _picture(
            "confusion",
            "Confusion matrix",
            caption,
            lambda: confusion_figure(counts, run.classes),
            wide=len(run.classes) > ROOMY,
        )
        return
    found = table.splits[run.headline][FUSED].metrics
    summary = "\n".join(
        f"{convention(name).label} {shown(found[name].value)}" for name in ("pearson_r", "mae") if name in found
    )
    caption = (
        f"Fused prediction against the true value of {len(truth):,} {run.headline} samples. On the dashed line they "
        "are equal; a cloud flatter than the line means that extremes are under-predicted."
    )
    drawn = thinned(np.arange(len(truth)), MOST_POINTS)
    if len(drawn) < len(truth):
        caption += f" {len(drawn):,} of them are drawn."
    truth, guess = truth[drawn], guess[drawn]
    yield from _picture(
        "predicted", "Predicted and true", caption, lambda: scatter_figure(truth, guess, summary), wide=False
    )


def _survival(run: Run) -> Iterator[Rendered]:
    groups = risk_groups(run)
    if groups is None:
        return
    caption = (
        f"Kaplan and Meier's curves of the {run.headline} samples, in thirds by predicted risk, with pointwise 95 % "
        "intervals; small bars are censored samples. Below, how many of each third are still followed: where they are "
        f"few, a curve says little. Whether the thirds differ: {p_in_words(groups.p)}. A good prediction parts them in "
        "the order of their risk."
    )
    yield from _picture("survival", "Survival by predicted risk", caption, lambda: survival_figure(groups))


def _reliability(run: Run, table: RunScores) -> Iterator[Rendered]:
    rows = (run.split == run.headline) & np.isfinite(run.labels)
    if not run.task.has_logits or not rows.any():
        return
    confidence, hits = confidence_and_hits(run.predictors[0].scores[rows], run.labels[rows])
    bins = binned(confidence, hits)
    by_chance = error_by_chance(confidence, derive_seed(run.recipe.seed, "reliability"))
    found = table.splits[run.headline][FUSED].metrics
    names = [name for name in ("ece", "brier", "log_loss") if name in found]
    summary = "\n".join(f"{convention(name).label} {shown(found[name].value)}" for name in names)
    caption = (
        f"{len(hits):,} {run.headline} samples in {len(bins.accuracy)} bins of equal numbers by the probability of "
        "their predicted class. On the dashed line they are right as often as they claim; below, they claim too much. "
        "Bars are exact 95 % intervals. Probabilities that mean what they say would show an error (ECE) of about "
        f"{shown(by_chance)} on so many samples, by chance alone."
    )
    yield from _picture(
        "reliability",
        "Reliability of the probabilities",
        caption,
        lambda: reliability_figure(bins, summary),
        wide=False,
    )


def _thresholds(run: Run, _table: RunScores) -> Iterator[Rendered]:
    if not run.task.has_logits or not np.isfinite(run.labels[run.split == run.headline]).any():
        return
    whose = (
        f"Telling {run.classes[1]} from {run.classes[0]} at every threshold, by head. "
        if len(run.classes) == 2
        else "Telling each class from the others at every threshold, by the fused head. "
    )
    if len(run.classes) > MOST_CURVES:
        whose += f"The first {MOST_CURVES} of {len(run.classes)} classes are drawn. "
    caption = whose + (
        f"{run.headline.capitalize()} samples. Dashed: without any knowledge. Where a class is rare, the right side "
        "says more: it shows how many of those that are called so are."
    )
    yield from _picture(
        "thresholds", "ROC and precision–recall curves", caption, lambda: threshold_figure(rankings(run))
    )


def _novelty(run: Run, _table: RunScores) -> Iterator[Rendered]:
    rows = run.split == run.headline
    novelty = {name: values[rows & np.isfinite(values)] for name, values in run.novelty.items()}
    caption = (
        f"How unlike the training samples the {run.headline} samples are, by modality: 0 is as near as the nearest "
        "held-out training sample, 1 farther than all. Samples like them are spread evenly, at the dashed line; a pile "
        "at the right is of samples that the model has not seen the like of."
    )
    yield from _picture("novelty", "Novelty", caption, lambda: novelty_figure(novelty))


def _tissue(run: Run, _table: RunScores) -> Iterator[Rendered]:
    rows = run.split == run.headline
    if not run.scores_anomalies or run.coordinates is None:
        return
    coordinates, scores = run.coordinates[rows], run.task.prediction(run.predictors[0].scores[rows])
    groups = np.full(len(scores), "") if run.groups is None else run.groups[rows]
    caption = "Each row is a section: on the left the score at each spot, coloured by its rank within the section" + (
        ", on the right the label." if np.isfinite(run.labels[rows]).any() else "."
    )
    caption += left_out(groups)
    yield from _picture(
        "tissue", "Scores on the tissue", caption, lambda: tissue_figure(coordinates, scores, run.labels[rows], groups)
    )


def _map(run: Run, _table: RunScores) -> Iterator[Rendered]:
    method = run.recipe.evaluate.projection
    layout = lay_out(run.values, method, derive_seed(run.recipe.seed, "map"))
    front = run.split == run.headline
    labels, classes = _named_labels(run)
    how = {
        "pca": "The two directions of ξ with the most variance",
        "umap": "UMAP of ξ: neighbourhoods are meaningful, distances and areas are not",
    }[method]
    caption = f"{how}, coloured by the true label. {run.headline.capitalize()} samples in front, all others faint."
    if min(int(front.sum()), len(layout.rows)) > MOST_POINTS:
        caption += f" At most {MOST_POINTS:,} of them are drawn."
    if not front.all():
        caption += " Classes that part in the faint cloud but mix in front mean over-fitting." if run.classes else ""
    yield from _picture(
        "map",
        "Map of the embedding ξ",
        caption,
        lambda: map_figure(layout, labels, front, classes),
        wide=len(run.classes) > ROOMY,
    )


def _named_labels(run: Run) -> tuple[NDArray[np.float64], list[str]]:
    """Labels and class names, with a class of their own for samples without a label; of survival, who had the event."""
    labels, classes = run.labels, run.classes
    unknown = ~np.isfinite(labels)
    if run.recipe.task.kind == "survival":
        labels, classes = np.where(labels > 0, 1.0, 0.0), ["censored", "event"]
    if not unknown.any():
        return labels, classes
    return np.where(unknown, len(classes), labels), [*classes, "no label"]


def _losses(run: Run, _table: RunScores) -> Iterator[Rendered]:
    unit = "cross-entropy (nats)"
    if run.scores_anomalies:
        unit = "squared distance from the centre"
    elif run.recipe.task.kind == "survival":
        unit = "Cox partial likelihood (nats per event)"
    elif not run.classes:
        units = {
            "mse": "squared error (units of output)",
            "l1": "absolute error (units of output)",
            "gaussian": "Gaussian -ln q (nats)",
        }
        unit = units[getattr(run.recipe.task, "loss", "mse")]
    drawn = {
        key.partition("/")[0] if "/" in key else ""  # a term of the whole, E-MIB's KL of ξ, has no curve
        for row in run.history
        for key, value in row.items()
        if value is not None
    }
    caption = "Loss of each modality's branch and of the fused head." if "trb" in drawn else "Loss of the fused head."
    if "validation" in drawn:
        caption += " On the validation split (dashed; in warm-up the mean over branches), rising while the others fall "
        caption += "is over-fitting."
    if "kl" in drawn:
        caption += " Right: how much each bottleneck lets through; near 0, that modality no longer reaches the "
        caption += "embedding."
    if any(row.get("kept") and row.get("phase") == "train" for row in run.history):
        caption += " The dotted line marks the epoch whose weights were kept."
    yield from _picture(
        "losses", "Loss terms over epochs", caption, lambda: loss_figure(run.history, run.modalities, unit, run.kl_unit)
    )


def _weights(run: Run, _table: RunScores) -> Iterator[Rendered]:
    reference = run.modalities[0]
    caption = (
        f"r weighs the penalty on a modality's bottleneck against that on {reference}'s, the reference (r = 1). Below "
        "1 it is penalised less, because its branch still changes the prediction more; above 1, more. r lies between 0 "
        "and 2."
    )
    yield from _picture(
        "relative-weights",
        "Relative weight r",
        caption,
        lambda: weight_figure(run.history, run.modalities),
    )


def _beta(run: Run, _table: RunScores) -> Iterator[Rendered]:
    beta = run.beta
    if beta is None:
        return
    caption = _BOUNDED if beta.get("upper") is not None else _UNBOUNDED
    yield from _picture("beta", "β and its bounds", caption, lambda: beta_figure(beta))


_BOUNDED = (
    "Green: within both the paper's upper bound Mᵤ and the bound of the loss that is minimised (darker from the lower "
    "bound Mₗ). Yellow: between the two. Red: beyond both, where the penalty may cost task-relevant information."
)
_UNBOUNDED = (
    "β was given, and no information was estimated, so the paper's bounds are unknown. Green: within the bound of the "
    "loss that is minimised. Red: beyond it, where the penalty may cost task-relevant information."
)
