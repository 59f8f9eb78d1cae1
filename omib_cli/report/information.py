"""The report's block on information: what the embedding holds, of the task and of what is known to be in the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from omib_cli.evaluation.conventions import shown, shown_alike
from omib_cli.evaluation.metrics import Measurement
from omib_cli.evaluation.probes import MOST_SAMPLES as PROBED
from omib_cli.evaluation.probes import Recovery
from omib_cli.evaluation.subvectors import MOST_SAMPLES, Subvector
from omib_cli.evaluation.sufficiency import Quantity
from omib_cli.report.html import block, esc, paragraph, table, tag


def information_block(
    plane: Sequence[Quantity],
    recovery: Mapping[str, Recovery],
    subvectors: Mapping[str, Subvector],
    accuracy: Measurement | None,
    split: str,
) -> str:
    """Tables of the information plane, of recovered parts, and of sub-vectors with the run's own accuracy below.

    Nothing where there is none of them.
    """
    content = []
    if plane:
        rows = [[_named(each), shown(each.estimate.value), _range(each.estimate), esc(each.unit)] for each in plane]
        content.append(table(["", "value", "95 % interval", "unit"], rows))
    if recovery:
        rows = [[esc(name), _share(each.r2), _share(each.control)] for name, each in recovery.items()]
        content.append(table(["part", "R²", "R², shuffled"], rows))
        content.append(
            paragraph(
                "What a cross-validated linear probe reads from ξ of the parts that the data were simulated from: "
                "“score” is ⟨δ, [a0; a1; …]⟩, whose sign is the label; each a part along δ; of the b parts, which are "
                "superfluous, all columns. Beside it the same probe with the samples of the target shuffled. "
                f"Of the split the first {next(iter(recovery.values())).samples:,} samples; at most "
                f"{PROBED:,} are probed.",
                "foot",
            )
        )
    if subvectors:
        content.extend(_of_subvectors(subvectors, accuracy))
    return block("Information", paragraph(f"On the {split} split.", "foot"), *content) if content else ""


def _of_subvectors(subvectors: Mapping[str, Subvector], accuracy: Measurement | None) -> list[str]:
    """Their table, and how it is to be read."""
    rows = [
        [esc(name), f"{each.columns:,}", shown(each.bayes), shown(each.accuracy.value), _range(each.accuracy)]
        for name, each in subvectors.items()
    ]
    if accuracy is not None:
        rows.append(["fused prediction", "–", "–", shown(accuracy.value), _range(accuracy)])
    words = (
        "What sub-vectors of the simulated columns tell of the label. “At best” is the accuracy that no predictor "
        "exceeds but by chance, as δ has it; measured, that of a logistic regression of the sub-vector alone, fitted "
        f"to the training split (of either split at most {MOST_SAMPLES:,} samples). The a parts together are all that "
        "matters and nothing else; the modalities together hold that among superfluous columns. Both reach 1 at best; "
        "a linear classifier that has seen finitely many samples does not, and is worse off with the latter. The last "
        "row is this run's own."
    )
    return [
        table(["sub-vector", "columns", "accuracy at best", "accuracy measured", "95 % interval"], rows),
        paragraph(words, "foot"),
    ]


def _named(quantity: Quantity) -> str:
    return esc(quantity.name) + tag("small", esc(quantity.words))


def _share(value: float) -> str:
    """R² to three decimals: smaller ones are noise; below 0 is as good as 0."""
    return shown(round(value, 3) + 0.0)


def _range(estimate: Measurement) -> str:
    return " to ".join(shown_alike([estimate.low, estimate.high])) if math.isfinite(estimate.low) else "–"
