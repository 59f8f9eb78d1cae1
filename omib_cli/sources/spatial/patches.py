"""Squares of a section's image around its spots."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed
from omib_cli.sources.sheets import counted
from omib_cli.sources.spatial.images import BLOCK, Image, look, open_image
from omib_cli.sources.spatial.section import Picture, TissueSection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.spatial import ColourOptions, PatchOptions

CORNER = 0.2
"""A smaller part of an image's width and height than tissue takes up on a slide that was imaged for it."""


@dataclass(frozen=True)
class PatchPlan:
    """Where the patches of one section are.

    Attributes
    ----------
    centres
        (N, 2) x and y in pixels of the image.
    patch
        Side of a patch that is handed out.
    side
        Side of the square in the image that it is made of.
    mpp
        Micrometres per pixel of the image.
    notes
        What the user should know of the image.
    """

    picture: Picture
    centres: NDArray[np.float64]
    patch: int
    side: float
    mpp: float
    notes: list[str]


def plan_patches(section: TissueSection, pitch_um: float, options: PatchOptions | ColourOptions) -> PatchPlan | None:
    """Find the patches of a section, without decoding its image; None where it has none.

    Raises
    ------
    DataError
        Spots outside the image.
    """
    picture = section.picture
    if picture is None:
        return None
    width, height, notes = look(picture.source, picture.where)
    scale = picture.scale if picture.scale is not None else width / (picture.full_width or width)
    centres = section.positions * scale
    _must_be_inside(section, picture.where, centres, width, height)
    notes = [*notes, *_in_a_corner(f"{picture.where}, section {section.name}", centres, width, height)]
    mpp = pitch_um / (section.pitch * scale)
    side = options.patch if options.mpp is None else options.patch * options.mpp / mpp
    return PatchPlan(picture, centres, options.patch, float(side), mpp, notes)


def cut_patches(plan: PatchPlan) -> NDArray[np.uint8]:
    """Decode the image and cut: (N, 3, patch, patch) uint8.

    A patch at native resolution is the ``patch`` x ``patch`` pixels around the nearest pixel of the spot's centre, as
    published; one that is resampled is the exact square, averaged. Beyond the image's edge its last pixels go on.

    Raises
    ------
    DataError
        A damaged image.
    """
    import numpy as np

    image = open_image(plan.picture.source, plan.picture.where, plan.side / plan.patch)
    found = np.empty((len(plan.centres), 3, plan.patch, plan.patch), dtype=np.uint8)
    cut = _exact if plan.side == plan.patch else _resampled
    # Spots come in any order; those near each other are cut one after another, from the squares that are at hand.
    order = np.lexsort((plan.centres[:, 0], plan.centres[:, 1] // BLOCK))
    for index in order.tolist():
        x, y = plan.centres[index].tolist()
        found[index] = cut(image, x, y, plan).transpose(2, 0, 1)
    return found


def _exact(image: Image, x: float, y: float, plan: PatchPlan) -> NDArray[np.uint8]:
    left, top = (floor(centre + 0.5) - plan.patch // 2 for centre in (x, y))
    return _window(image, left, top, left + plan.patch, top + plan.patch)


def _resampled(image: Image, x: float, y: float, plan: PatchPlan) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image as Pillow

    x, y, half = x / image.reduced, y / image.reduced, plan.side / image.reduced / 2
    margin = max(1, ceil(half / plan.patch * 2))  # what the filter looks at beyond the square
    left, top = floor(x - half) - margin, floor(y - half) - margin
    right, bottom = ceil(x + half) + margin, ceil(y + half) + margin
    window = Pillow.fromarray(_window(image, left, top, right, bottom))
    box = (x - half - left, y - half - top, x + half - left, y + half - top)
    size = (plan.patch, plan.patch)
    return np.asarray(window.resize(size, Pillow.Resampling.BILINEAR, box=box))


def _window(image: Image, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
    """Pixels of a rectangle that may reach over the image's edge."""
    import numpy as np

    width, height = -(-image.width // image.reduced), -(-image.height // image.reduced)
    inside = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    pixels = image.region(*inside)
    over = ((inside[1] - top, bottom - inside[3]), (inside[0] - left, right - inside[2]), (0, 0))
    return np.pad(pixels, over, mode="edge") if any(map(any, over)) else pixels


def _in_a_corner(where: str, centres: NDArray[np.float64], width: int, height: int) -> list[str]:
    """A warning where all spots lie in a small part of the image, as they do if it is another than they mean."""
    low, high = centres.min(axis=0), centres.max(axis=0)
    if ((high - low) > (width * CORNER, height * CORNER)).any():
        return []
    return [
        f"{where}: all spots lie in a small part of it (x {low[0]:.0f} to {high[0]:.0f}, y {low[1]:.0f} to "
        f"{high[1]:.0f}, of {width} x {height} pixels): are the positions counted in pixels of this image?"
    ]


def _must_be_inside(section: TissueSection, where: str, centres: NDArray[np.float64], width: int, height: int) -> None:
    import numpy as np

    outside = ((centres < 0) | (centres >= (width, height))).any(axis=1)
    if outside.any():
        names = [section.spots[index] for index in np.flatnonzero(outside)]
        low, high = centres.min(axis=0), centres.max(axis=0)
        raise DataError(
            f"{counted(len(names), 'spot')} of {len(centres)} outside the image",
            where=f"{where}, section {section.name}",
            got=f"{listed(names)}; x {low[0]:.0f} to {high[0]:.0f}, y {low[1]:.0f} to {high[1]:.0f}",
            expected=f"inside {width} x {height} pixels",
            do="give the image that the positions were taken in, or its width then with `full_width`",
        )
