"""The page of a cross-validation: its tables and its figure, in one file that loads nothing."""

from __future__ import annotations

from omib_cli.evaluation.comparison import gap_in_words, spread_in_words
from omib_cli.evaluation.conventions import convention
from omib_cli.evaluation.cross_validation import CrossValidation
from omib_cli.report.drawing import inline
from omib_cli.report.html import block, document, esc, paragraph, table, tag


def cross_validation_page(found: CrossValidation, picture: str) -> str:
    """The whole page.

    Parameters
    ----------
    picture
        SVG of means and deviations, with a dot for each fold; empty where there is none.
    """
    title = f"{found.recipe}: cross-validation"
    lead = f"{found.folds} folds, {found.repeats} " + ("repeat." if found.repeats == 1 else "repeats.")
    body = "\n".join(
        [
            tag("header", paragraph("omib", "eyebrow"), tag("h1", esc(title)), paragraph(lead, "lead")),
            block("Over folds", _over_folds(found), _picture(picture)),
            block("Pooled out-of-fold predictions", _pooled(found)),
            block("Not in the tables", _missing(found)),
            block("How to read this", "".join(paragraph(note) for note in found.notes), _metrics(found)),
        ]
    )
    return document(title, body)


def _over_folds(found: CrossValidation) -> str:
    main = convention(found.main_metric).label if found.main_metric else "Metric"
    head = ["", *(esc(convention(name).label) for name in found.metrics)]
    head += [esc(f"{main}: difference to {found.reference} [95 %]"), "folds"]
    lines = [
        [
            esc(row.name),
            *(spread_in_words(row.metrics.get(name)) for name in found.metrics),
            esc(gap_in_words(row, found.of)),
            str(row.count),
        ]
        for row in found.rows
    ]
    return table(head, lines, looks=["strong" if row.name == found.reference else "" for row in found.rows])


def _pooled(found: CrossValidation) -> str:
    head, lines = found.pooled_table()
    return (
        table([esc(each) for each in head], [[esc(cell) for cell in line] for line in lines], names=2) if lines else ""
    )


def _picture(svg: str) -> str:
    if not svg:
        return ""
    caption = tag("figcaption", esc("Mean and standard deviation over folds; each dot is a fold."))
    return tag("figure", tag("div", inline(svg, "folds"), cls="plot"), caption, cls="wide")


def _missing(found: CrossValidation) -> str:
    items = [tag("li", esc(f"{row.name}: {reason}")) for row in found.rows for reason in row.missing]
    return tag("ul", *items) if items else ""


def _metrics(found: CrossValidation) -> str:
    known = [convention(name) for name in found.metrics]
    return tag("ul", *[tag("li", esc(f"{each.label}: {each.words}")) for each in known])
