"""The few pieces of HTML that a report is made of; every text passes through :func:`esc`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import zip_longest

from omib_cli.report.style import CSS


def esc(value: object) -> str:
    """Text that is safe inside elements and quoted attributes."""
    return escape(str(value), quote=True)


def tag(name: str, *content: str, cls: str = "") -> str:
    """An element around finished HTML."""
    attribute = f' class="{esc(cls)}"' if cls else ""
    return f"<{name}{attribute}>{''.join(content)}</{name}>"


def document(title: str, body: str) -> str:
    """A page around finished HTML; it loads nothing."""
    style = re.sub(r"\n", "", CSS)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{esc(title)} – omib report</title><style>{style}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def paragraph(text: str, cls: str = "") -> str:
    """A paragraph of plain text."""
    return tag("p", esc(text), cls=cls)


def block(title: str, *content: str, level: int = 2) -> str:
    """A titled block of finished HTML; nothing when there is no content."""
    inner = "".join(content)
    return tag("section", tag(f"h{level}", esc(title)), inner) if inner else ""


def pairs(rows: Iterable[tuple[str, object]]) -> str:
    """A list of names and their plain-text values."""
    return tag("dl", *[tag("div", tag("dt", esc(name)), tag("dd", esc(value))) for name, value in rows])


def table(head: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1, looks: Sequence[str] = ()) -> str:
    """A table of finished HTML cells.

    Parameters
    ----------
    names
        How many columns at the left name the row; the rest are numbers.
    looks
        Class of each row, for the style sheet.
    """
    header = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = "".join(_row(cells, names, look) for cells, look in zip_longest(rows, looks, fillvalue=""))
    return tag("div", f"<table><thead><tr>{header}</tr></thead><tbody>{lines}</tbody></table>", cls="scroll")


def _row(cells: Sequence[str], names: int, look: str) -> str:
    inner = [f'<th scope="row">{cell}</th>' if i < names else tag("td", cell) for i, cell in enumerate(cells)]
    return tag("tr", *inner, cls=look)


def details(summary: str, *content: str) -> str:
    """Content that is folded away until asked for."""
    return tag("details", tag("summary", esc(summary)), *content)
