"""The fingerprint of a folder of clips: which files there are, and what says their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from omib_cli.errors import DataError, UsageError, listed
from omib_cli.recipe.fingerprint import ClipFacts, Fingerprint, LabelFacts, TableFile
from omib_cli.recipe.sources.common import LabelOptions
from omib_cli.recipe.sources.media import AudioOptions
from omib_cli.sources.fingerprint import label_file
from omib_cli.sources.identifying import candidates
from omib_cli.sources.label_facts import LabelLook
from omib_cli.sources.media.audio import read_audio
from omib_cli.sources.media.naming import CREMA_D, RAVDESS, Naming, find
from omib_cli.sources.table_files import Files

SUFFIXES = {
    "audio": (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".aac"),
    "video": (".mp4", ".flv", ".avi", ".mkv", ".mov", ".webm"),
}
"""Endings of files of each modality."""
LEAST = 0.5
"""A modality that fewer clips have than this is left out."""


@dataclass(frozen=True)
class MediaAsked:
    """What a user says of a folder of clips.

    Attributes
    ----------
    folders
        By modality, ``audio`` or ``video``, a folder below the whole; empty for all files of the whole.
    label
        ``FILE:COLUMN``, or None where the names of the clips say their labels.
    group, split
        As in :class:`omib_cli.sources.fingerprint.TablesAsked`.
    """

    folders: Mapping[str, str]
    label: str | None
    group: str | None = None
    split: str | None = None


def is_of_clips(folder: Path, modalities: Mapping[str, str]) -> bool:
    """Whether what is named is folders of clips: or, where nothing is named, whether the folder holds clips."""
    if modalities:
        return all((folder / inside).is_dir() for inside in modalities.values())
    return any(_clips(folder, stream) for stream in SUFFIXES)


def of_clips(asked: MediaAsked, folder: Path) -> Fingerprint:
    """Look at a folder of clips.

    Raises
    ------
    UsageError
        Nothing says the labels.
    DataError
        Other modalities than audio and video; no clip; files that one pattern cannot name.
    """
    if odd := [name for name in asked.folders if name not in SUFFIXES]:
        raise DataError("clips have the modalities audio and video", where=folder, got=odd[0])
    if asked.label is not None:
        return _labelled(asked, folder)
    for source, names, naming in (("crema-d", None, CREMA_D), ("media", "ravdess", RAVDESS)):
        found = {stream: find(folder, naming.files[stream]) for stream in asked.folders or SUFFIXES}
        found = {stream: _of_collection(paths, naming) for stream, paths in found.items()}
        if any(found.values()):
            return _by_name(source, names, naming, found)
    raise UsageError(
        "what are the labels of the clips?",
        where=folder,
        got=listed(path.name for stream in SUFFIXES for path in _clips(folder, stream)),
        expected="--label FILE:COLUMN, a table with a column of the clips' names; or names as in RAVDESS or CREMA-D",
    )


def _clips(folder: Path, stream: str) -> list[Path]:
    """The files of a modality at any depth, by name."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES[stream] and path.is_file())


def _of_collection(paths: Mapping[str, Path], naming: Naming) -> dict[str, Path]:
    return {clip: path for clip, path in paths.items() if naming.read(clip) is not None}


def _by_name(source: str, names: str | None, naming: Naming, found: Mapping[str, Mapping[str, Path]]) -> Fingerprint:
    """Clips that are labelled by their names."""
    clips = sorted(set().union(*found.values()))
    said = [read for clip in clips if (read := naming.read(clip)) is not None]
    groups = {group for _, group in said}
    counts = Counter(label for label, _ in said)
    labels = LabelFacts(
        file=TableFile(names or source),
        column="name",
        count=len(clips),
        unlabelled=0,
        kind="names",
        classes=dict(counts.most_common()),
        distinct=len(counts),
        group="actor" if len(groups) > 1 else None,
        groups=len(groups),
    )
    return _fingerprint(ClipFacts(source, {}, names, {}, len(clips)), labels, clips, found)


def _labelled(asked: MediaAsked, folder: Path) -> Fingerprint:
    """Clips that a table labels."""
    files = Files(folder)
    file, column, sheets = label_file(str(asked.label), files)
    ids = candidates(sheets, header=file.header)
    inside = {stream: folder / asked.folders.get(stream, ".") for stream in asked.folders or SUFFIXES}
    paths = {stream: there for stream, where in inside.items() if (there := _clips(where, stream))}
    if not paths:
        raise DataError("no clip is here", where=folder, expected=listed(sum(SUFFIXES.values(), ())))
    if "audio" not in paths and (not asked.folders or "audio" in asked.folders) and _has_sound(paths["video"][0]):
        paths["audio"] = paths["video"]
    paths = {stream: paths[stream] for stream in SUFFIXES if stream in paths}
    named = {path.stem for each in paths.values() for path in each}
    shared = {name: len(named & set(values)) for name, values in ids.columns.items() if name is not None}
    best = max(shared, key=lambda name: shared[name], default=None)
    if best is None or not shared[best]:
        shown = "; ".join(f"column {name!r} {listed(map(repr, values))}" for name, values in ids.columns.items())
        raise DataError(
            "no column of the labels has the names of the clips",
            where=" + ".join(sheet.where for sheet in sheets),
            got=shown or "no column that tells its rows apart",
            expected=f"names of files without their ending: {listed(map(repr, sorted(named)))}",
        )
    patterns = {stream: _pattern(each, folder) for stream, each in paths.items()}
    file = replace(file, id=best)
    labels = LabelLook(sheets, file, ids).facts(column, asked.group, asked.split)
    known = set(ids.columns[best])
    found = {
        stream: {clip: path for clip, path in find(folder, [pattern]).items() if clip in known}
        for stream, pattern in patterns.items()
    }
    read = files.labels(LabelOptions(files=str(file.files), header=file.header, id=best, column=labels.column))
    clips = [clip for clip, value in zip(read.ids or [], read.values, strict=True) if value]
    return _fingerprint(ClipFacts("media", patterns, None, {}, len(clips)), labels, clips, found)


def _fingerprint(
    facts: ClipFacts, labels: LabelFacts, clips: Sequence[str], found: Mapping[str, Mapping[str, Path]]
) -> Fingerprint:
    """The clips with the modalities that enough of them have."""
    counts = {stream: sum(clip in paths for clip in clips) for stream, paths in found.items()}
    kept = {stream: count for stream, count in counts.items() if count >= LEAST * len(clips) and count}
    if not kept:
        raise DataError(
            "too few clips of the labels have a file",
            where=labels.file.shown,
            got=f"{len(clips)} clips; " + ", ".join(f"{count} with {stream}" for stream, count in counts.items()),
            expected="a file for nearly each clip",
        )
    left = {stream: count for stream, count in counts.items() if stream not in kept and count}
    there = [sum(clip in found[stream] for stream in kept) for clip in clips]
    return Fingerprint(
        labels=labels,
        clips=replace(facts, found=kept, left_out=left),
        samples=sum(map(bool, there)),
        complete=sum(count == len(kept) for count in there),
    )


def _pattern(paths: Iterable[Path], folder: Path) -> str:
    """How a recipe names the files of a modality."""
    every = [PurePosixPath(path.relative_to(folder).as_posix()) for path in paths]
    endings = Counter(path.suffix for path in every)
    if len(endings) > 1:
        raise DataError(
            "files of several endings in one modality",
            where=folder,
            got=", ".join(f"{count} {ending}" for ending, count in endings.most_common()),
            expected="one ending, which a pattern such as {id}.wav can name",
            do="write them alike, or name the folder of one kind: --modality audio=FOLDER",
        )
    parents = {path.parent for path in every}
    start = "" if parents == {PurePosixPath(".")} else f"{parents.pop()}/" if len(parents) == 1 else "**/"
    return f"{start}{{id}}{next(iter(endings))}"


def _has_sound(path: Path) -> bool:
    try:
        read_audio(path, AudioOptions())
    except DataError:
        return False
    return True
