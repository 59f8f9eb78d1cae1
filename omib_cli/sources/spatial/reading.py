"""Every section that a recipe names, read in the layout it has and with the labels it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError
from omib_cli.recipe.sources.spatial import LegacyOptions, SpaceRangerOptions
from omib_cli.sources.spatial.anndata_file import read_anndata
from omib_cli.sources.spatial.labels import read_labels
from omib_cli.sources.spatial.legacy import read_legacy
from omib_cli.sources.spatial.section import TissueSection
from omib_cli.sources.spatial.space_ranger import read_space_ranger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.spatial import Layout, SectionOptions, SpatialOptions, SpotLabelOptions


@dataclass
class Place:
    """A section in the dataset.

    Attributes
    ----------
    split
        Index into ``format.SPLITS``.
    labels
        N labels as they are written, empty where a spot has none; None where the section has none at all.
    offset
        Number of spots read before this section's.
    pitch_um
        Distance of neighbouring spots in micrometres.
    kept
        Which of its spots are in the dataset, in order; known once the source has chosen.
    """

    section: TissueSection
    split: int
    patient: str
    labels: list[str] | None
    label_options: SpotLabelOptions | None
    offset: int
    pitch_um: float
    kept: NDArray[np.int64]

    @property
    def name(self) -> str:
        """Of the section."""
        return self.section.name


def read_sections(options: SpatialOptions, folder: Path) -> list[Place]:
    """Read the sections, training first, otherwise in the recipe's order.

    Raises
    ------
    DataError
        Whatever is wrong with the first section that cannot be used.
    """
    import numpy as np

    order = {name: code for code, name in enumerate(fmt.SPLITS)}
    places: list[Place] = []
    for name, one in sorted(options.sections.items(), key=lambda item: order[item[1].split]):
        files = _layout(options, one)
        section = _read(files, name, folder)
        if not section.spots:
            raise DataError("a section without a spot", where=section.where)
        labelled = options.labels if one.labels is None else None if one.labels == "none" else one.labels
        labels = None if labelled is None else read_labels(labelled, section, folder)
        offset = places[-1].offset + len(places[-1].section.spots) if places else 0
        kept = np.arange(len(section.spots))
        places.append(
            Place(section, order[one.split], one.patient or name, labels, labelled, offset, files.pitch_um, kept)
        )
    return places


def file_hashes(places: Sequence[Place]) -> dict[str, str]:
    """SHA-256 of every file that was read, by its name relative to the input."""
    import hashlib

    found: dict[str, str] = {}
    for place in places:
        for name, path in place.section.files.items():
            if name not in found:
                with path.open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return dict(sorted(found.items()))


def _layout(options: SpatialOptions, section: SectionOptions) -> Layout:
    """Where the files of a section are."""
    files = section.files or options.files
    changed: dict[str, str | int | None] = {}
    if section.image is not None:
        changed["image"] = section.image
    if section.full_width is not None:
        changed["full_width"] = section.full_width
    return files.model_copy(update=changed) if changed else files


def _read(options: Layout, name: str, folder: Path) -> TissueSection:
    without = options.image == "none"
    files = options.model_copy(update={"image": None}) if without else options
    if isinstance(files, SpaceRangerOptions):
        section = read_space_ranger(files, name, folder)
    elif isinstance(files, LegacyOptions):
        section = read_legacy(files, name, folder)
    else:
        section = read_anndata(files, name, folder)
    if without and section.picture is not None:
        section.files.pop(section.picture.where, None)
        section.picture = None
    return section
