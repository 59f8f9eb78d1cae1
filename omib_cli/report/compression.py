"""The report's blocks on compression, in words: beta and its bounds, and what the relative weights did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from omib_cli.evaluation.conventions import shown
from omib_cli.evaluation.runs import Run
from omib_cli.report.html import block, esc, paragraph, table, tag


def beta_and_bounds(run: Run) -> str:
    """Beta, its bounds and the information behind them, in words."""
    beta = run.beta
    if beta is None or beta.get("value") is None:
        return ""
    content = [tag("p", _beta_sentence(beta)), tag("p", _objective_sentence(run, beta))]
    if run.information is not None:
        content.append(_information(run.information))
    return block("β and its bounds", *content)


def _beta_sentence(beta: Mapping[str, Any]) -> str:
    value = tag("strong", f"β = {beta['value']:.4g}")
    lower, upper = beta.get("lower"), beta.get("upper")
    how = {
        "uniform": "drawn once, uniformly between the bounds, from the run's seed",
        "midpoint": "the middle of the two bounds",
        "upper": "the upper bound itself",
        "lower": "the lower bound itself",
        "value": "given by the recipe",
    }.get(str(beta.get("policy")), esc(beta.get("policy")))
    if lower is None or upper is None:
        return f"{value} ({how}). No information was estimated, so the paper's bounds are not known for this run."
    place = "above" if beta.get("above") else "within" if beta["value"] >= lower else "below the lower bound of"
    return (
        f"{value} ({how}) is {place} the paper's range, from "
        f"<i>M<sub>l</sub></i> = {lower:.4g} to <i>M<sub>u</sub></i> = {upper:.4g}. The upper bound follows from the "
        "estimated information of the modalities; the lower one only avoids needlessly slow compression."
    )


def _objective_sentence(run: Run, beta: Mapping[str, Any]) -> str:
    objective = beta.get("objective")
    number = f" = {objective:.4g}" if objective is not None else ""
    return (
        "The paper proves <i>M<sub>u</sub></i> for a <em>relative</em> mutual information, divided by an entropy. The "
        "loss that is really minimised is not divided, and for it the same argument gives "
        f"1/(1 + Σ r<sub>i</sub>) ≥ 1/(2M&nbsp;−&nbsp;1){number} for these M = {len(run.modalities)} "
        f"modalities, with no entropy "
        "in it. <i>M<sub>u</sub></i> is therefore conservative: accuracy may stay flat well above it."
    )


def _information(information: Mapping[str, Any]) -> str:
    rows = [[f"H({esc(name)})", *_mean_sd(values)] for name, values in (information.get("entropy") or {}).items()]
    rows += [
        [f"I({esc(name).replace('|', '; ')})", *_mean_sd(values)]
        for name, values in (information.get("mutual") or {}).items()
    ]
    if not rows:
        return ""
    limit = information.get("limit")
    note = (
        "H(v) is estimated as I(v; v), as the paper does. For continuous data that quantity is infinite, and what is "
        "printed is what the estimator could certify from the samples at hand"
        + (f", at most {float(limit):.2f} nats (the logarithm of their number)" if limit is not None else "")
        + ". See docs/information.md for what it is and is not."
    )
    return table(["Estimate", "nats", "sd over seeds"], rows) + paragraph(note, "foot")


def _mean_sd(values: Any) -> list[str]:
    mean, sd = [*values, math.nan][:2] if isinstance(values, list | tuple) else (values, math.nan)
    return [shown(float(mean)), shown(float(sd))]


def weights_in_words(run: Run) -> str:
    """What r did over the main phase."""
    rows = [row for row in run.history if row.get("phase") == "train"]
    lines = []
    for name in run.modalities[1:]:
        values = [float(row[f"r/{name}"]) for row in rows if row.get(f"r/{name}") is not None]
        if values:
            lines.append(tag("li", esc(_weight_sentence(name, run.modalities[0], values))))
    note = (
        "A weight is of the penalty alone. What passed each bottleneck is its KL, which can order modalities otherwise."
    )
    return block("Relative weights in words", tag("ul", *lines), paragraph(note, "foot")) if lines else ""


def _weight_sentence(name: str, reference: str, values: Sequence[float]) -> str:
    mean, low, high = fmean(values), min(values), max(values)
    verdict = (
        f"practically 1: the penalty on {name} weighed like that on {reference}, and the weight was close to inert"
    )
    if mean < 0.95:
        verdict = f"the penalty on {name} weighed less than that on {reference}: its branch changed the prediction more"
    elif mean > 1.05:
        verdict = f"the penalty on {name} weighed more than that on {reference}: its branch changed the prediction less"
    elif high - low > 0.2:
        verdict = f"around 1 on average, though it moved: the penalties on {name} and {reference} weighed about alike"
    return f"r of {name}: mean {mean:.3f}, from {low:.3f} to {high:.3f} over {len(values)} epochs; {verdict}."
