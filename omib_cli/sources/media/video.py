"""Video files to a few frames of each second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.media import VideoOptions

EARLY = 1e-3
"""Seconds by which a frame may come before its time: containers round time stamps to milliseconds."""


def read_frames(path: Path, options: VideoOptions) -> NDArray[np.uint8]:
    """Frames of a clip in order of time, RGB: (frames, 3, size, size) uint8.

    Frame j is the first at or after j / fps seconds from the clip's beginning, or the last that can be decoded where
    the clip ends earlier. Frames are brought to ``size`` by bilinear interpolation, without regard to their shape.

    Raises
    ------
    DataError
        The file cannot be decoded or has no frame.
    """
    import av
    import numpy as np

    found: list[NDArray[np.uint8]] = []
    last = None
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise DataError("no pictures", where=path, got="no video stream")
            for time, frame in _timed(container):
                last = frame
                while len(found) < options.frames and time >= len(found) / options.fps - EARLY:
                    found.append(_pixels(frame, options.size))
                if len(found) == options.frames:
                    break
    except (av.FFmpegError, OSError) as error:
        if last is None:
            raise DataError("the video cannot be decoded", where=path, got=error) from error
    if last is None:
        raise DataError("no pictures", where=path, got="not a single frame that can be decoded")
    rest = options.frames - len(found)
    return np.stack(found + [_pixels(last, options.size)] * rest)


def _timed(container: Any) -> Iterator[tuple[float, Any]]:
    """Each frame that can be decoded and its time in seconds after the first; damaged packets are passed over."""
    import av

    stream = container.streams.video[0]
    rate = float(stream.average_rate or stream.base_rate or 30)
    start, count = None, 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            start = frame.time if start is None else start
            yield (count / rate if frame.time is None or start is None else frame.time - start), frame
            count += 1


def _pixels(frame: Any, size: int) -> NDArray[np.uint8]:
    """(3, size, size) uint8."""
    import numpy as np

    small = frame.reformat(width=size, height=size, format="rgb24", interpolation="BILINEAR")
    return np.ascontiguousarray(small.to_ndarray().transpose(2, 0, 1))
