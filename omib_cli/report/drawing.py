"""The look that all figures share: ink, colours, names that fit, and how a figure becomes SVG and PNG.

Colours are chosen for colour-blind readers: Okabe and Ito's for modalities, Tol's for classes. A modality has the
same colour in every figure; what is fused is drawn in ink.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

INK, MUTED, RULE, PAPER = "#20262e", "#66707c", "#d5dae0", "#ffffff"
GOOD, WARM, RED = "#d7ebdf", "#fdeecb", "#f8dcd6"
"""Tints of the zones of the beta strip: within the bound, beyond the paper's, beyond the objective's."""
ALARM = "#b3261e"

_MODALITIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D46")
_FEW = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377")
_MANY = ("#332288", "#CC6677", "#117733", "#DDCC77", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499", "#777777")
MARKERS = ("o", "s", "^", "D", "v", "P")

WIDE = 8.4
"""Width in inches of a figure that takes a whole line of the report."""
HALF = 4.4
"""Width of one that shares it."""
PNG_DPI = 200

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,  # names are names, even with dollars in them
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "omib",
    "figure.constrained_layout.w_pad": 0.09,
    "figure.constrained_layout.h_pad": 0.07,
}


@dataclass(frozen=True)
class Rendered:
    """A finished figure.

    Attributes
    ----------
    name
        Of its files.
    caption
        How to read it.
    wide
        Whether it takes a whole line of the report.
    """

    name: str
    title: str
    caption: str
    svg: str
    png: bytes
    wide: bool


def styled(draw: Callable[[], Figure | None]) -> tuple[str, bytes] | None:
    """Draw a figure in the common style and render it; None where there is nothing to draw."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has more fonts
        figure = draw()
        return None if figure is None else (_svg(figure), _png(figure))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI)
    return buffer.getvalue()


def _svg(figure: Figure) -> str:
    """The ``<svg>`` element alone: no prologue, no metadata, nothing that names another host."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=PNG_DPI)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(
        r'(<svg[^>]*?) width="[^"]*pt"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*pt"', r"\1", text, count=1)
    )


def inline(svg: str, prefix: str) -> str:
    """The element for use inside HTML: ids made unique by ``prefix``, and no namespaces, which HTML implies."""
    text = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", svg)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", text)


def colours(modalities: Sequence[str]) -> dict[str, str]:
    """One colour per modality, by its place in the recipe."""
    return {name: _MODALITIES[i % len(_MODALITIES)] for i, name in enumerate(modalities)}


def class_colours(count: int) -> list[str]:
    """One colour per class; beyond ten they come from a continuous scale and need labels beside them."""
    if count <= len(_FEW):
        return list(_FEW[:count])
    if count <= len(_MANY):
        return list(_MANY[:count])
    scale = mpl.colormaps["turbo"]
    return [mpl.colors.to_hex(scale(0.04 + 0.92 * i / (count - 1))) for i in range(count)]


def short(name: object, limit: int = 18) -> str:
    """A name on one line that fits: control characters out, the middle of a long one replaced by an ellipsis."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(name)).strip() or "(empty)"
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 3
    return f"{text[: limit - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"


def plain_log(axis: Any) -> None:
    """Ticks of a logarithmic axis as ordinary numbers."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 1000.0 * low else (1.0,), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def whole_numbers(axis: Any) -> None:
    """Ticks at integers only."""
    axis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def rows_grid(axes: Axes) -> None:
    """Faint horizontal rules to read values by."""
    axes.grid(visible=True, axis="y")


def legend_above(axes: Axes, columns: int = 4) -> None:
    """A legend between title and plot."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=columns,
        borderaxespad=0.1,
        columnspacing=1.3,
        handlelength=1.7,
    )
