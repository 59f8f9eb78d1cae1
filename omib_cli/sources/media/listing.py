"""Which clips there are: by the names in a folder, by published lists, by a table of labels."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omib_cli.artifacts.files import must_exist
from omib_cli.errors import DataError, listed
from omib_cli.sources.media.naming import Naming, find
from omib_cli.sources.rows import must_be_files_of_their_own
from omib_cli.sources.table_files import Labels
from omib_cli.sources.text_tables import ENCODING, reading


@dataclass
class Clip:
    """One sample: the file of each modality that it has, and what is known of it as text."""

    id: str
    files: dict[str, Path]
    label: str
    group: str | None = None
    split: str | None = None


@dataclass
class Listing:
    """The clips of a folder.

    Attributes
    ----------
    where
        What names them, for messages.
    classes
        Names of classes in the order of their indices, or None where the labels decide.
    dropped
        What is left out, counted by reason.
    """

    clips: list[Clip]
    where: str
    classes: Sequence[str] | None = None
    dropped: dict[str, int] = field(default_factory=dict)


def by_name(
    folder: Path,
    naming: Naming,
    modalities: Iterable[str],
    split: Mapping[str, str] | None = None,
    *,
    others: bool = False,
) -> Listing:
    """The clips whose names follow a collection's rule.

    Parameters
    ----------
    split
        The split of each clip of published lists: only these clips are taken, whether or not their files are there.
    others
        Whether clips with other names are taken too, without a label.
    """
    found = {name: find(folder, naming.files[name]) for name in modalities}
    listing = Listing([], str(folder), list(naming.classes.values()))
    there = sorted(set().union(*found.values()))
    strange = 0
    for clip in there if split is None else split:
        said: tuple[str, str | None] | None = naming.read(clip) or (("", None) if others else None)
        if said is None:
            strange += 1
            continue
        files = {name: paths[clip] for name, paths in found.items() if clip in paths}
        label, group = said
        listing.clips.append(Clip(clip, files, label, group, None if split is None else split[clip]))
    if not listing.clips:
        patterns = [pattern for name in found for pattern in naming.files[name]]
        raise DataError(
            "no clip of the collection is here",
            where=folder,
            got=f"{strange} files with other names" if strange else "no file where one should be",
            expected=listed(patterns),
            do="name the collection's own folder with --input",
        )
    unlisted = 0 if split is None else len(set(there) - set(split))
    listing.dropped = {"clips in no list": unlisted, "clips with other names": strange}
    return listing


def by_pattern(folder: Path, labels: Labels | None, patterns: Mapping[str, str]) -> Listing:
    """The clips that the patterns find, with the labels and groups that a table may say of them.

    Raises
    ------
    DataError
        There is no such file.
    """
    found = {name: find(folder, [pattern]) for name, pattern in patterns.items()}
    every = sorted(set().union(*found.values()))
    if not every:
        raise DataError("no clip is here", where=folder, got=f"no file like {listed(patterns.values())}")
    row = {clip: place for place, clip in enumerate((labels.ids if labels is not None else None) or [])}
    clips = [Clip(clip, {name: paths[clip] for name, paths in found.items() if clip in paths}, "") for clip in every]
    for clip in clips:
        if labels is not None and clip.id in row:
            clip.label = labels.values[row[clip.id]]
            clip.group = None if labels.groups is None else labels.groups[row[clip.id]]
    dropped = {"rows of the labels without a file": len(set(row) - set(every))}
    return Listing(clips, str(folder) if labels is None else labels.where, None, dropped)


def by_table(folder: Path, labels: Labels, patterns: Mapping[str, str]) -> Listing:
    """The clips of a table of labels, with the files that the patterns find."""
    found = {name: find(folder, [pattern]) for name, pattern in patterns.items()}
    ids = labels.ids or []
    known = [
        Clip(clip, {name: paths[clip] for name, paths in found.items() if clip in paths}, label)
        for clip, label in zip(ids, labels.values, strict=True)
    ]
    if not any(clip.files for clip in known):
        there = sorted(set().union(*found.values()))
        raise DataError(
            "no clip of the labels has a file",
            where=folder,
            got=f"files of: {listed(map(repr, there))}" if there else f"no file like {listed(patterns.values())}",
            expected=f"ids as in {labels.where}: {listed(map(repr, ids))}",
            do="look at `data.files` and `data.labels.id`",
        )
    for row, clip in enumerate(known):
        clip.group = None if labels.groups is None else labels.groups[row]
        clip.split = None if labels.split is None else labels.split[row]
    clips = [clip for clip in known if clip.label]
    dropped = {
        "rows of the labels without a label": len(known) - len(clips),
        "clips without a label": len(set().union(*found.values()) - set(ids)),
    }
    return Listing(clips, labels.where, None, dropped)


def read_lists(folder: Path, lists: Mapping[str, str], naming: Naming) -> dict[str, str]:
    """Split of each clip, from one list per split: lines of a clip's name, a comma, its label, and more.

    Raises
    ------
    DataError
        A list is missing or empty, a clip stands in two, or has another label there than in its name.
    """
    must_be_files_of_their_own(
        {f"the {split} split": folder / name for split, name in lists.items()}, "a list for each split"
    )
    found: dict[str, str] = {}
    for split, name in lists.items():
        must_exist(
            folder / name,
            f"list of the {split} split",
            do="copy the published lists into the folder (train.csv and test.csv of data/CREMAD in "
            "github.com/GeWu-Lab/OGM-GE_CVPR2022), or divide by actor: --set data.split.by=group",
        )
        with reading(name), (folder / name).open(encoding=ENCODING, newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row and row[0].strip()]
        clips = [row[0] for row in rows]
        other = [row for row in rows if len(row) > 1 and (read := naming.read(row[0])) and row[1] not in ("", read[0])]
        if other:
            raise DataError(
                "labels that contradict the clips' names", where=folder / name, got=listed(map(",".join, other))
            )
        if not clips:
            raise DataError("an empty list of clips", where=folder / name)
        twice = [clip for clip in clips if found.setdefault(clip, split) != split]
        if twice:
            raise DataError("clips in two lists", where=folder / name, got=listed(twice), expected="each in one split")
    return found
