"""Collections whose file names say everything: where a clip's files are, its label, its actor."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omib_cli.errors import DataError
from omib_cli.sources.text_tables import reading


@dataclass(frozen=True)
class Naming:
    """How a collection names its clips.

    Attributes
    ----------
    files
        By modality the patterns of its files, the best first.
    name
        A clip's id; its groups are ``label`` and ``group``.
    classes
        What each label is called, in the order of class indices.
    """

    files: Mapping[str, Sequence[str]]
    name: re.Pattern[str]
    classes: Mapping[str, str]

    def read(self, clip: str) -> tuple[str, str] | None:
        """Class and group of a clip, or None if its id is none of the collection's."""
        match = self.name.fullmatch(clip)
        if match is None or match["label"] not in self.classes:
            return None
        return self.classes[match["label"]], match["group"]


CREMA_D = Naming(
    files={"audio": ["AudioWAV/{id}.wav"], "video": ["VideoFlash/{id}.flv", "VideoFlash/{id}.mp4"]},
    name=re.compile(r"(?P<group>\d+)_[A-Z0-9]+_(?P<label>[A-Z]{3})_[A-Z]+"),  # actor, sentence, emotion, level
    classes={name: name for name in ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")},  # the order of OGM-GE
)
"""CREMA-D (Cao et al. 2014)."""

RAVDESS = Naming(
    files={
        "audio": ["**/03-{id}.wav", "**/01-{id}.mp4"],
        "video": ["**/02-{id}.mp4", "**/01-{id}.mp4"],
    },
    name=re.compile(r"\d\d-(?P<label>\d\d)-\d\d-\d\d-\d\d-(?P<group>\d\d)"),  # what follows the modality
    classes={
        f"{code:02d}": name
        for code, name in enumerate(
            ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"), start=1
        )
    },
)
"""RAVDESS (Livingstone and Russo 2018); modality 01 has sound and pictures, 02 pictures, 03 sound."""


def find(folder: Path, patterns: Sequence[str]) -> dict[str, Path]:
    """The file of each id; the first pattern that has one counts.

    Parameters
    ----------
    patterns
        Paths relative to ``folder``: ``{id}`` stands for the id, ``*`` for any part of a name, ``**/`` for any folders,
        linked ones too.

    Raises
    ------
    DataError
        Two files of one pattern and id that are not copies of each other.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        own: dict[str, Path] = {}
        expression = _expression(pattern)
        depth = "" if pattern.startswith(("*", "{")) else pattern.split("{")[0].split("*")[0].rpartition("/")[0]
        for path in _files_under(folder / depth):
            match = expression.fullmatch(path.relative_to(folder).as_posix())
            if match is None:
                continue
            other = own.setdefault(match["id"], path)
            if other != path and not filecmp.cmp(other, path, shallow=False):
                raise DataError(
                    f"two different files for the clip {match['id']!r}",
                    where=folder,
                    got=f"{other.relative_to(folder)} and {path.relative_to(folder)}",
                    expected=f"one file like {pattern}",
                    do="name the folder that is meant in the pattern, or remove the other one",
                )
        found = own | found
    return found


def _files_under(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Every file at any depth, by name; links are followed, but not back to where they came from."""
    real = folder.resolve()
    if not folder.is_dir() or real in above:
        return
    with reading(str(folder)):
        inside = sorted(folder.iterdir())
    for path in inside:
        if path.is_dir():
            yield from _files_under(path, (*above, real))
        elif path.is_file():
            yield path


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*|\{id\})", pattern)
    meaning = {"**/": "(?:.*/)?", "*": "[^/]*", "{id}": "(?P<id>.+)"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))
