"""Files of digits: MNIST's gzipped arrays, and an archive of recordings."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import tarfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.artifacts.files import must_exist
from omib_cli.errors import DataError
from omib_cli.sources.media.audio import prepared, read_sound_file
from omib_cli.sources.rows import must_be_ids
from omib_cli.sources.text_tables import reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.media import AudioOptions

NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_\d+")
LONGEST = 60.0
"""Seconds that are read of a spoken digit."""
BYTES = 8
"""The IDX format's code of unsigned bytes."""


@dataclass(frozen=True)
class Recording:
    """A spoken digit: samples (n,) in [-1, 1]."""

    name: str
    digit: int
    speaker: str
    samples: NDArray[np.float64]


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """A gzipped IDX file of bytes (LeCun et al. 1998), with as many dimensions as it should have.

    Raises
    ------
    DataError
        The file is missing, damaged or another one.
    """
    import numpy as np

    must_exist(path, "file of digits")
    with reading(str(path)), gzip.open(path) as file:
        content = file.read()
    sizes = [int.from_bytes(content[4 * (i + 1) : 4 * (i + 2)]) for i in range(dimensions)]
    start = 4 * (dimensions + 1)
    if content[:4] != bytes((0, 0, BYTES, dimensions)) or len(content) != start + prod(sizes):
        raise DataError(
            "not an IDX file of this form",
            where=path,
            got=f"{len(content)} bytes that begin {content[:4].hex()}",
            expected=f"an array of bytes in {dimensions} dimensions, as MNIST is published",
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(sizes)


def read_recordings(path: Path, options: AudioOptions, *, new: bool = False) -> list[Recording]:
    """The recordings ``{digit}_{speaker}_{n}.wav`` of an archive, by name, one channel, at ``options.rate``.

    Parameters
    ----------
    new
        Whether all WAV files are taken, of whatever name; the digit is -1 and the speaker empty where it says neither.

    Raises
    ------
    DataError
        The archive is missing or damaged, has no recording or one twice, or one that is silent or cut off.
    """
    must_exist(path, "archive of recordings")
    found = []
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                match = NAME.fullmatch(Path(member.name).stem)
                wanted = member.isfile() and member.name.endswith(".wav") and (new or match is not None)
                content = archive.extractfile(member) if wanted else None
                if content is None:
                    continue
                where = f"{path}, {member.name}"
                channels, rate, _ = read_sound_file(io.BytesIO(content.read()), where, LONGEST)
                samples = prepared(channels, rate, options, where)
                digit, speaker = (-1, "") if match is None else (int(match["digit"]), match["speaker"])
                found.append(Recording(Path(member.name).stem, digit, speaker, samples))
    except (tarfile.TarError, lzma.LZMAError, OSError, EOFError) as error:
        raise DataError("the recordings cannot be read", where=path, got=error, do="copy the file again") from error
    if not found:
        raise DataError("no recording", where=path, expected="files {digit}_{speaker}_{n}.wav")
    must_be_ids([recording.name for recording in found], len(found), str(path), "recording")
    return sorted(found, key=lambda recording: recording.name)
