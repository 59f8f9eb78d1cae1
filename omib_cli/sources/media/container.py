"""A film or sound file that is read packet by packet: which stream, and whether the file ends where it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    from av.container import InputContainer

SLACK, SHARE = 0.3, 0.1
"""Seconds, and share of the length, by which files that are whole may end before the length that they state."""


class Demuxer:
    """The packets of an open file.

    Attributes
    ----------
    stream
        The only one of its kind.
    length
        Seconds that the file says it lasts, or that it lasted as far as it was read.

    Parameters
    ----------
    kind
        ``audio`` or ``video``; cover pictures are no film.

    Raises
    ------
    DataError
        No such stream, or several: which is meant, nobody says.
    """

    def __init__(self, container: InputContainer, kind: str, path: Path) -> None:
        from av.stream import Disposition

        every: Sequence[Any] = getattr(container.streams, kind)
        streams = [one for one in every if not one.disposition & Disposition.attached_pic]
        what = {"audio": "sound", "video": "pictures"}[kind]
        if not streams:
            raise DataError(f"no {what}", where=path, got=f"no {kind} stream")
        if len(streams) > 1:
            raise DataError(
                f"several streams of {what}",
                where=path,
                got=counted(len(streams), f"{kind} stream"),
                expected="one",
                do=f"keep the right one: ffmpeg -i {path.name} -map 0:{kind[0]}:0 -c copy OUT",
            )
        self.stream = streams[0]
        self._container, self._path = container, path
        self._stated = (container.duration or 0) / 1e6
        self._start = (container.start_time or 0) / 1e6
        self._end = 0.0

    @property
    def length(self) -> float:
        """In seconds."""
        return max(self._stated, self._end)

    def packets(self) -> Iterator[Any]:
        """Of the stream, the one that ends it last; the ends of all streams are followed, for a film is cut as one."""
        for packet in self._container.demux():
            if packet.pts is not None and packet.time_base is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._start
                self._end = max(self._end, end)
            if packet.stream_index == self.stream.index:
                yield packet

    def must_be_whole(self) -> None:
        """Refuse a file that ended before its time, when all packets are read: an interrupted copy or download."""
        if self._stated - self._end > max(SLACK, SHARE * self._stated):
            raise DataError(
                "the file is cut off",
                where=self._path,
                got=f"it ends after {self._end:.2f} s",
                expected=f"{self._stated:.2f} s, as it says at its beginning",
                do="copy or download it again",
            )
