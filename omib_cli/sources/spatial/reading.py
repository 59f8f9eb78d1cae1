"""Every section that a recipe names, read in the layout it has and with the labels it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError
from omib_cli.recipe.sources.spatial import LegacyOptions, SpaceRangerOptions
from omib_cli.sources.rows import must_be_files_of_their_own
from omib_cli.sources.sheets import counted
from omib_cli.sources.spatial.anndata_file import read_anndata
from omib_cli.sources.spatial.labels import must_be_of_one_section, read_labels
from omib_cli.sources.spatial.legacy import read_legacy
from omib_cli.sources.spatial.section import TissueSection
from omib_cli.sources.spatial.space_ranger import read_space_ranger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.spatial import Layout, SectionOptions, SpatialOptions, SpotLabelOptions

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
    import numpy as np

    order = {name: code for code, name in enumerate(fmt.SPLITS)}
    places: list[Place] = []
    own: dict[str, Path] = {}
    tables: dict[str, tuple[SpotLabelOptions, Path]] = {}
    for name, one in sorted(options.sections.items(), key=lambda item: order[item[1].split]):
        files = _layout(options, one)
        section = _read(files, name, folder)
        image = None if section.picture is None else section.picture.where
        own |= {f"section {name} ({where})": path for where, path in section.files.items() if where != image}
        if not section.spots:
            raise DataError("a section without a spot", where=section.where)
        labelled = options.labels if one.labels is None else None if one.labels == "none" else one.labels
        if labelled is not None and labelled.file is not None:
            tables[name] = labelled, folder / labelled.file.replace("{section}", name)
            must_be_of_one_section(tables)
        labels = None if labelled is None else read_labels(labelled, section, folder)
        offset = places[-1].offset + len(places[-1].section.spots) if places else 0
        kept = np.arange(len(section.spots))
        places.append(
            Place(section, order[one.split], one.patient or name, labels, labelled, offset, files.pitch_um, kept)
        )
    must_be_files_of_their_own(own, "files of its own for each section (`{section}` in their names)")
    _say_if_alike(places)
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
