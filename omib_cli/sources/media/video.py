"""Video files to a few frames of each second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError
from omib_cli.sources.media.container import Demuxer
from omib_cli.sources.pixels import over_white

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.media import VideoOptions

EARLY = 1e-3
"""Seconds by which a frame may come before its time: containers round time stamps to milliseconds."""


@dataclass(frozen=True)
class OpenFilm:
    """Frames of a clip (T, 3, size, size) uint8, the seconds that it lasts, and how many packets were damaged."""

    frames: NDArray[np.uint8]
    seconds: float
    damaged: int


def read_frames(path: Path, options: VideoOptions) -> OpenFilm:
    """Frames of a clip in order of time, RGB, upright.

    Frame j is the first at or after j / fps seconds from the clip's beginning, or the last where the clip ends earlier.
    Frames are brought to ``size`` by bilinear interpolation, without regard to their shape.

    Raises
    ------
    DataError
        The file cannot be decoded, has no frame or several films, or ends before it says.
    """
    import av
    import numpy as np

    found: list[NDArray[np.uint8]] = []
    last = None
    try:
        with av.open(path) as container:
            demuxer = Demuxer(container, "video", path)
            damage: list[object] = []
            for time, frame in _timed(demuxer, damage):
                last = frame
                while len(found) < options.frames and time >= len(found) / options.fps - EARLY:
                    found.append(_pixels(frame, options.size, path))
                if len(found) == options.frames:
                    break
            else:
                demuxer.must_be_whole()
    except (av.FFmpegError, OSError) as error:
        raise DataError("the video cannot be decoded", where=path, got=error) from error
    if last is None:
        raise DataError("no pictures", where=path, got="not a single frame that can be decoded")
    rest = options.frames - len(found)
    frames = np.stack(found + [_pixels(last, options.size, path)] * rest)
    return OpenFilm(frames, demuxer.length, len(damage))


def _timed(demuxer: Demuxer, damage: list[object]) -> Iterator[tuple[float, Any]]:
    """Each frame that can be decoded and its time in seconds after the first; damaged packets are passed over."""
    import av

    rate = float(demuxer.stream.average_rate or demuxer.stream.base_rate or 30)
    start, count = None, 0
    for packet in demuxer.packets():
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            damage.append(error)
            continue
        for frame in frames:
            start = frame.time if start is None else start
            yield (count / rate if frame.time is None or start is None else frame.time - start), frame
            count += 1


def _pixels(frame: Any, size: int, path: Path) -> NDArray[np.uint8]:
    """(3, size, size) uint8; what is transparent is white."""
    import numpy as np

    transparent = any(component.is_alpha for component in frame.format.components)
    form = "rgba" if transparent else "rgb24"
    pixels = frame.reformat(width=size, height=size, format=form, interpolation="BILINEAR").to_ndarray()
    pixels = _upright(over_white(pixels) if transparent else pixels, frame, path)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _upright(pixels: NDArray[np.uint8], frame: Any, path: Path) -> NDArray[np.uint8]:
    """A square frame (size, size, 3) as it is shown: telephones film as they are held, and write down how.

    The display matrix of ISO 14496-12 takes column x and row y to column a x + c y and row b x + d y.
    """
    import numpy as np

    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    a, b, _, c, d = (np.frombuffer(bytes(matrix), dtype=np.int32)[:5] / 2**16).tolist()
    if sorted((abs(a), abs(b))) != [0, 1] or (abs(c), abs(d)) != (abs(b), abs(a)):
        raise DataError("a film that is shown at an angle", where=path, got=f"display matrix {a:g} {b:g} {c:g} {d:g}")
    turned = pixels.swapaxes(0, 1) if b else pixels
    down, right = (b, c) if b else (d, a)
    return turned[:: int(down), :: int(right)]
