"""Every section that a recipe names, read in the layout it has and with the labels it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError, listed
from omib_cli.recipe.sources.common import NONE
from omib_cli.recipe.sources.spatial import LegacyOptions, SpaceRangerOptions, SpotLabelOptions
from omib_cli.sources.rows import must_be_files_of_their_own
from omib_cli.sources.sheets import counted
from omib_cli.sources.spatial.anndata_file import read_anndata
from omib_cli.sources.spatial.graph import nearest_spots, rows_of_neighbours
from omib_cli.sources.spatial.labels import has_labels, must_be_of_one_section, read_labels
from omib_cli.sources.spatial.legacy import read_legacy
from omib_cli.sources.spatial.section import TissueSection, is_there
from omib_cli.sources.spatial.space_ranger import read_space_ranger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.spatial import Layout, SectionOptions, SpatialOptions

MANY = 10
"""Genes that a spot must have counts of to be told from others by them."""
SHARED = 0.01
"""Largest share of a section's spots that may have the counts of another's by chance."""


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
    order = {name: code for code, name in enumerate(fmt.SPLITS)}
    tables: dict[str, tuple[SpotLabelOptions, Path]] = {}
    for name, one in options.sections.items():
        labelled = _label_options(options, one)
        if labelled is not None and labelled.file is not None:
            tables[name] = labelled, folder / labelled.file.replace("{section}", name)
    must_be_of_one_section(tables)
    places: list[Place] = []
    for name, one in sorted(options.sections.items(), key=lambda item: order[item[1].split]):
        place = _read_place(options, name, one, folder, places)
        labelled = _label_options(options, one)
        if labelled is not None:
            place.labels, place.label_options = read_labels(labelled, place.section, folder), labelled
        places.append(place)
    _must_be_their_own(places)
    _say_if_alike(places)
    return places


def read_new_sections(
    options: SpatialOptions, sections: Mapping[str, SectionOptions], folder: Path, warnings: list[str]
) -> list[Place]:
    """Read sections that a trained model is to predict: they may lack labels and images, which is said.

    Raises
    ------
    DataError
        Whatever else is wrong with the first section that cannot be used.
    """
    places: list[Place] = []
    for name, one in sections.items():
        files = _layout(options, one)
        if files.image not in (None, NONE) and not is_there(folder, str(files.image).replace("{section}", name)):
            one = one.model_copy(update={"image": NONE})
        place = _read_place(options, name, one, folder, places)
        labelled = _label_options(options, one)
        if labelled is not None and has_labels(labelled, place.section, folder):
            place.labels, place.label_options = read_labels(labelled, place.section, folder), labelled
        places.append(place)
    _must_be_their_own(places)
    warnings.append(f"sections: {listed([place.name for place in places])}")
    return places


def neighbours_of(places: Sequence[Place], count: int) -> NDArray[np.int32]:
    """(N, K) rows of the neighbours of every spot of the dataset, each in its section; -1 where there are fewer."""
    import numpy as np

    into = np.full((sum(len(place.kept) for place in places), count), -1, dtype=np.int32)
    start = 0
    for place in places:
        rows = np.full(len(place.section.spots), -1, dtype=np.int64)
        rows[place.kept] = np.arange(start, start + len(place.kept))
        into = rows_of_neighbours(nearest_spots(place.section.positions, count), rows, into)
        start += len(place.kept)
    return into


def _read_place(
    options: SpatialOptions, name: str, one: SectionOptions, folder: Path, before: Sequence[Place]
) -> Place:
    """A section behind the others, all of its spots kept and without labels so far."""
    import numpy as np

    files = _layout(options, one)
    section = _read(files, name, folder)
    if not section.spots:
        raise DataError("a section without a spot", where=section.where)
    offset = before[-1].offset + len(before[-1].section.spots) if before else 0
    kept = np.arange(len(section.spots))
    split = fmt.SPLITS.index(one.split)
    return Place(section, split, one.patient or name, None, None, offset, files.pitch_um, kept)


def _label_options(options: SpatialOptions, one: SectionOptions) -> SpotLabelOptions | None:
    if one.labels is None:
        return options.labels
    return one.labels if isinstance(one.labels, SpotLabelOptions) else None


def _must_be_their_own(places: Sequence[Place]) -> None:
    """Refuse a file of counts or positions that several sections read."""
    own: dict[str, Path] = {}
    for place in places:
        section = place.section
        image = None if section.picture is None else section.picture.where
        labels = None if place.label_options is None else place.label_options.file
        labels = None if labels is None else labels.replace("{section}", section.name)
        shared = {image, labels}
        own |= {
            f"section {section.name} ({where})": path for where, path in section.files.items() if where not in shared
        }
    must_be_files_of_their_own(own, "files of its own for each section (`{section}` in their names)")


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


def _say_if_alike(places: Sequence[Place]) -> None:
    """Warn of sections that hold the same spots, by their counts: one slide under two names, in whatever files."""
    numbers: dict[str, int] = {}
    seen: dict[bytes, str] = {}
    for place in places:
        first = Counter(seen.setdefault(one, place.name) for one in _prints(place.section, numbers))
        for other, count in first.items():
            if other != place.name and count > SHARED * len(place.section.spots):
                place.section.warnings.append(
                    f"{count} of {counted(len(place.section.spots), 'spot')} of section {place.name} have the counts "
                    f"of spots of section {other}: is one a copy of the other?"
                )


def _prints(section: TissueSection, numbers: dict[str, int]) -> set[bytes]:
    """A hash for each spot with counts of many genes: which genes and how many, whatever the order of the genes.

    Parameters
    ----------
    numbers
        Of every gene met so far, here and in other sections; new ones are added.
    """
    import hashlib

    import numpy as np

    of_gene = np.array([numbers.setdefault(gene, len(numbers)) for gene in section.genes], dtype=np.int64)
    order = np.argsort(of_gene)
    counts = section.counts[:, order].tocsr()
    counts.eliminate_zeros()
    counts.sort_indices()
    ends = counts.indptr.tolist()
    return {
        hashlib.blake2b(
            of_gene[order[counts.indices[start:stop]]].tobytes() + counts.data[start:stop].tobytes()
        ).digest()
        for start, stop in pairwise(ends)
        if stop - start >= MANY
    }


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
    if isinstance(options, SpaceRangerOptions):
        return read_space_ranger(options, name, folder)
    if isinstance(options, LegacyOptions):
        return read_legacy(options, name, folder)
    return read_anndata(options, name, folder)
