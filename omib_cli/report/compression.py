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
    content = [tag("p", _beta_sentence(beta, run.information)), tag("p", _objective_sentence(run, beta))]
    if run.information is not None:
        content.append(_information(run.information))
    return block("β and its bounds", *content)


def _beta_sentence(beta: Mapping[str, Any], information: Mapping[str, Any] | None) -> str:
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
    return (
        f"{value} ({how}) is {_place(beta, lower, upper)}. The upper bound follows from the {_source(information)}; "
        "the lower one only avoids needlessly slow compression."
    )


def _source(information: Mapping[str, Any] | None) -> str:
    """What the bounds are made of."""
    if information is not None and information.get("estimator") == "saturation":
        return "number of samples, which stands in for the information of the modalities"
    return "estimated information of the modalities"


def _place(beta: Mapping[str, Any], lower: float, upper: float) -> str:
    """Where beta is in the paper's range, which may be a single value, and whether the loss's own bound is exceeded."""
    value, single = beta["value"], math.isclose(lower, upper)
    name = "bound" if single else "range"
    if beta.get("above"):
        place = f"above the paper's {name}"
    elif value < lower and not (single and math.isclose(value, lower)):
        place = "below the paper's bound" if single else "below the lower bound of the paper's range"
    else:
        place = "the paper's bound" if single else "within the paper's range"
    ends = (
        f"<i>M<sub>l</sub></i> = <i>M<sub>u</sub></i> = {upper:.4g}"
        if single
        else f"from <i>M<sub>l</sub></i> = {lower:.4g} to <i>M<sub>u</sub></i> = {upper:.4g}"
    )
    if not beta.get("above_objective"):
        return f"{place}, {ends}"
    but = "and" if beta.get("above") else "but"
    return f"{place}, {but} above the bound of the loss that is minimised (the paper's {name}: {ends})"


def _objective_sentence(run: Run, beta: Mapping[str, Any]) -> str:
    objective, upper = beta.get("objective"), beta.get("upper")
    number = f" = {objective:.4g}" if objective is not None else ""
    words = (
        "The paper proves <i>M<sub>u</sub></i> for a <em>relative</em> mutual information, divided by an entropy. The "
        "loss that is really minimised is not divided, and for it the same argument gives "
        f"1/(1 + Σ r<sub>i</sub>) ≥ 1/(2M&nbsp;−&nbsp;1){number} for M = {len(run.modalities)}, with no entropy in it."
    )
    if objective is None or upper is None or upper == objective:
        return words
    if upper < objective:
        return f"{words} <i>M<sub>u</sub></i> is therefore conservative: accuracy may stay flat well above it."
    return f"{words} <i>M<sub>u</sub></i> is above that bound, since the modalities hold less than one nat in all."


def _information(information: Mapping[str, Any]) -> str:
    """The estimates with their spread, where there is one, and what the numbers are by their estimator."""
    kinds = (("H", information.get("entropy") or {}), ("I", information.get("mutual") or {}))
    found = [
        (f"{kind}({esc(name).replace('|', '; ')})", *_mean_sd(values))
        for kind, each in kinds
        for name, values in each.items()
    ]
    if not found:
        return ""
    spreads = any(sd is not None for _, _, sd in found)
    rows = [[name, shown(mean), *([shown(sd)] if spreads else [])] for name, mean, sd in found]
    head = ["Quantity", "nats", *(["sd over seeds"] if spreads else [])]
    return table(head, rows) + paragraph(_estimator_words(information), "foot")


def _estimator_words(information: Mapping[str, Any]) -> str:
    """What an estimate is; two of the estimators have no critic that could certify anything."""
    estimator, limit = information.get("estimator"), information.get("limit")
    more = "See docs/information.md for what it is and is not."
    if estimator == "saturation":
        return (
            "Every value is ln N_eval, the logarithm of the number of samples that a critic would be judged on: "
            f"nothing was estimated. {more}"
        )
    if estimator == "gaussian":
        return (
            "Every value is computed from a covariance, as if the data were Gaussian; where it is infinite, as H(v) = "
            f"I(v; v) of continuous data is, the logarithm of the number of samples stands in. {more}"
        )
    largest = "" if limit is None else f", at most {float(limit):.2f} nats (the largest limit of these estimates)"
    return (
        "H(v) is estimated as I(v; v), as the paper does. For continuous data that quantity is infinite, and what is "
        f"printed is what the estimator could certify from the samples at hand{largest}. {more}"
    )


def _mean_sd(values: Any) -> tuple[float, float | None]:
    """Mean and standard deviation over seeds; of a single seed, which has no spread, the mean alone."""
    mean, sd = [*values, None][:2] if isinstance(values, list | tuple) else (values, None)
    return float(mean), None if sd is None or not math.isfinite(sd) else float(sd)


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
