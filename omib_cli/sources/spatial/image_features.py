"""What is made of the images of several sections: patches, cut when they are asked for, and colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import listed
from omib_cli.sources.sheets import counted
from omib_cli.sources.spatial.colours import colours, names
from omib_cli.sources.spatial.patches import PatchPlan, cut_patches, plan_patches
from omib_cli.sources.spatial.reading import Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.spatial import ColourOptions, PatchOptions


@dataclass
class SectionPatches:
    """The patches of one section that is in the dataset: its first row and where in the image its kept spots are."""

    start: int
    stop: int
    plan: PatchPlan | None


class Patches:
    """The patches of all sections, of which one section's are in memory.

    Parameters
    ----------
    side
        Of a patch in pixels.
    """

    def __init__(self, sections: list[SectionPatches], side: int) -> None:
        self._sections, self._side = sections, side
        self._cut: tuple[SectionPatches, NDArray[np.uint8]] | None = None

    def block(self, start: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Patches (stop - start, 3, P, P), zeros where a section has no image, and where there are any."""
        import numpy as np

        values = np.zeros((stop - start, 3, self._side, self._side), dtype=np.uint8)
        present = np.zeros(stop - start, dtype=bool)
        for section in self._sections:
            low, high = max(start, section.start), min(stop, section.stop)
            if low >= high or section.plan is None:
                continue
            if self._cut is None or self._cut[0] is not section:  # an image is decoded once, not once for each block
                self._cut = (section, cut_patches(section.plan))
            values[low - start : high - start] = self._cut[1][low - section.start : high - section.start]
            present[low - start : high - start] = True
        return values, present


def planned_patches(
    name: str,
    places: Sequence[Place],
    options: PatchOptions | ColourOptions,
    facts: dict[str, dict[str, Any]],
    warnings: list[str],
) -> list[SectionPatches]:
    """Where the patches of every section are, for the modality ``name``; images are looked at and not decoded.

    Parameters
    ----------
    facts
        By section; told the scale of its image.
    warnings
        Told of sections without an image and of images that differ in scale.
    """
    found: list[SectionPatches] = []
    notes: list[str] = []
    for place in places:
        start = found[-1].stop if found else 0
        stop = start + len(place.kept)
        plan = plan_patches(place.section, place.pitch_um, options)
        if plan is not None:
            notes += plan.notes
            facts[place.name]["mpp"] = round(plan.mpp, 4)
            plan = replace(plan, centres=plan.centres[place.kept])
        else:
            notes.append(f"{place.name}: no image; {name} is missing in {counted(stop - start, 'spot')}")
        found.append(SectionPatches(start, stop, plan))
    notes += _shared(places)
    if len({round(one.plan.mpp, 1) for one in found if one.plan}) > 1 and options.mpp is None:
        scales = {section: one["mpp"] for section, one in facts.items() if "mpp" in one}
        shown = ", ".join(f"{section} {mpp:.2f}" for section, mpp in scales.items())
        notes.append(f"the images differ in scale (micrometres per pixel: {shown}): `mpp` brings patches to one")
    warnings += [note for note in dict.fromkeys(notes) if note not in warnings]
    return found


def colours_of(sections: Sequence[SectionPatches]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Colours (N, C) of every spot, zeros where a section has no image; and where there are any (N,)."""
    import numpy as np

    values = np.zeros((sections[-1].stop, len(names())), dtype=np.float32)
    present = np.zeros(len(values), dtype=bool)
    for section in sections:
        if section.plan is not None:
            values[section.start : section.stop] = colours(section.plan)
            present[section.start : section.stop] = True
    return values, present


def _shared(places: Sequence[Place]) -> list[str]:
    """A warning of images that several sections read: a slide may hold several, or `{section}` was forgotten."""
    of_image: dict[Path, list[str]] = {}
    for place in places:
        if place.section.picture is not None and isinstance(place.section.picture.source, Path):
            of_image.setdefault(place.section.picture.source.resolve(), []).append(place.name)
    several = [(path.name, sections) for path, sections in of_image.items() if len(sections) > 1]
    return [f"sections {listed(sections)} are cut out of one image, {name}" for name, sections in several]
