"""Collections whose file names say everything: where a clip's files are, its label, its actor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


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
    """The file of each id; the first pattern that has one counts, then the first file by name.

    Parameters
    ----------
    patterns
        Paths relative to ``folder``: ``{id}`` stands for the id, ``*`` for any part of a name, ``**/`` for any folders.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        expression = _expression(pattern)
        depth = "" if pattern.startswith(("*", "{")) else pattern.split("{")[0].split("*")[0].rpartition("/")[0]
        for path in sorted((folder / depth).rglob("*")):
            match = expression.fullmatch(path.relative_to(folder).as_posix())
            if match is not None and path.is_file():
                found.setdefault(match["id"], path)
    return found


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*|\{id\})", pattern)
    meaning = {"**/": "(?:.*/)?", "*": "[^/]*", "{id}": "(?P<id>.+)"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))
