"""The report's section on information: what the embedding holds, of the task and of what is known to be in the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omib_cli.evaluation.conventions import shown
from omib_cli.evaluation.html import esc, paragraph, section, table, tag
from omib_cli.evaluation.probes import Recovery
from omib_cli.evaluation.sufficiency import Quantity


def information_section(plane: Sequence[Quantity], recovery: Mapping[str, Recovery], split: str) -> str:
    """Tables of the information plane and of recovered parts; nothing where there is neither."""
    content = []
    if plane:
        rows = [[_named(each), shown(each.estimate.value), _range(each)] for each in plane]
        content.append(table(["", "nats", "95 % interval"], rows))
    if recovery:
        rows = [[esc(name), _share(each.r2), _share(each.control)] for name, each in recovery.items()]
        content.append(table(["part", "R²", "R², shuffled"], rows))
        content.append(
            paragraph(
                "What a cross-validated linear probe reads from ξ of the parts that the data were simulated from: "
                "“score” is ⟨δ, [a0; a1; …]⟩, whose sign is the label; each a part along δ; of the b parts, which are "
                "superfluous, all columns. Beside it the same probe with the samples of the target shuffled.",
                "foot",
            )
        )
    return section("Information", paragraph(f"On the {split} split.", "foot"), *content) if content else ""


def _named(quantity: Quantity) -> str:
    return esc(quantity.name) + tag("small", esc(quantity.words))


def _share(value: float) -> str:
    """R² to three decimals: smaller ones are noise; below 0 is as good as 0."""
    return shown(round(value, 3) + 0.0)


def _range(quantity: Quantity) -> str:
    low, high = shown(quantity.estimate.low), shown(quantity.estimate.high)
    return "–" if "–" in (low, high) else f"{low} to {high}"
