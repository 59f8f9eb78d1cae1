"""Histology images, read by region where the format allows, and squares cut out of them around spots.

TIFF is read tile by tile. JPEG and PNG can only be decoded from their beginning, so they are decoded once for each
section and dropped; of a JPEG whose patches are to be scaled down by two or more, only half, a quarter or an eighth of
the resolution is ever decoded.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from omib_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_BYTES = 3 * 2**30
"""Most memory that decoding an image in one piece may take."""
DRAFTS = (8, 4, 2)
BLOCK = 1024
"""Side of the squares in which a TIFF is read: a region by region look-up of tiles would take longer than decoding."""
KEPT = 16
"""Squares of a TIFF that are kept, 3 MiB each."""


class Image(Protocol):
    """An open image.

    Attributes
    ----------
    width, height
        Of the whole image, in its own pixels.
    reduced
        Which part of the resolution :meth:`region` gives: 4 means that one of its pixels is four by four.
    """

    width: int
    height: int
    reduced: int

    def region(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        """Pixels (bottom - top, right - left, 3) of the reduced image; the rectangle is inside of it."""


class PixelImage:
    """An image in memory: (height, width, 3) uint8."""

    def __init__(self, pixels: NDArray[np.uint8], reduced: int = 1, size: tuple[int, int] | None = None) -> None:
        self._pixels = pixels
        self.reduced = reduced
        self.width: int
        self.height: int
        self.width, self.height = size or (pixels.shape[1], pixels.shape[0])

    def region(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        """A view."""
        return self._pixels[top:bottom, left:right]


class TiffImage:
    """A TIFF file that is decoded a square at a time, when it is needed; the last ones read are kept."""

    reduced = 1

    def __init__(self, path: Path, where: str) -> None:
        import tifffile
        import zarr

        self._where = where
        try:
            with tifffile.TiffFile(path) as file:
                level = file.series[0].levels[0]
                axes, dtype, shape = level.axes, level.dtype, level.shape
                store = level.aszarr()
            self._array: Any = zarr.open(store, mode="r")
        except Exception as error:
            raise _unreadable(where, error) from error
        if sorted(axes) != ["S", "X", "Y"] or dtype.name != "uint8":
            raise DataError(
                "no RGB image",
                where=where,
                got=f"axes {axes}, {dtype}",
                expected="height, width and colour (YXS or SYX), uint8",
                do="save it as 8-bit RGB",
            )
        self._order = tuple(axes.index(axis) for axis in "YXS")
        self._block = lru_cache(maxsize=KEPT)(self._read)
        self.height, self.width = (int(shape[axes.index(axis)]) for axis in "YX")

    def region(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        """Put together from the squares that the rectangle touches, decoded if they are not at hand."""
        import numpy as np

        found = np.empty((bottom - top, right - left, 3), dtype=np.uint8)
        for y in range(top // BLOCK * BLOCK, bottom, BLOCK):
            for x in range(left // BLOCK * BLOCK, right, BLOCK):
                part = self._block(y, x)[max(top - y, 0) : bottom - y, max(left - x, 0) : right - x]
                row, column = max(y - top, 0), max(x - left, 0)
                found[row : row + part.shape[0], column : column + part.shape[1]] = part
        return found

    def _read(self, top: int, left: int) -> NDArray[np.uint8]:
        """Decode one square."""
        import numpy as np

        window = {"Y": slice(top, top + BLOCK), "X": slice(left, left + BLOCK), "S": slice(0, 3)}
        index: list[slice] = [slice(None)] * 3
        for place, axis in zip(self._order, "YXS", strict=True):
            index[place] = window[axis]
        try:
            found = self._array[tuple(index)]
        except Exception as error:
            raise _unreadable(self._where, error) from error
        return np.ascontiguousarray(np.transpose(found, self._order))


def image_size(source: Path | NDArray[np.uint8], where: str) -> tuple[int, int]:
    """Width and height, without decoding.

    Raises
    ------
    DataError
        The file is no image.
    """
    if not isinstance(source, Path):
        return source.shape[1], source.shape[0]
    if is_tiff(source):
        image = TiffImage(source, where)
        return image.width, image.height
    with _opened(source, where) as opened:
        return cast("tuple[int, int]", opened.size)


def open_image(source: Path | NDArray[np.uint8], where: str, shrink: float = 1.0) -> Image:
    """Open an image for reading regions.

    Parameters
    ----------
    shrink
        How much smaller its patches will be made: a JPEG need not be decoded in more detail.

    Raises
    ------
    DataError
        No image, damaged, or too large to be decoded in one piece.
    """
    import numpy as np

    if not isinstance(source, Path):
        return PixelImage(source)
    if is_tiff(source):
        return TiffImage(source, where)
    with _opened(source, where) as opened:
        size = opened.size
        reduced = next((factor for factor in DRAFTS if shrink >= factor), 1) if opened.format == "JPEG" else 1
        if reduced > 1:
            opened.draft("RGB", (size[0] // reduced, size[1] // reduced))
        needed = opened.size[0] * opened.size[1] * 7  # four bytes in the decoder, three in the array
        if needed > MOST_BYTES:
            raise DataError(
                "the image is too large to be decoded in one piece",
                where=where,
                got=f"{size[0]} x {size[1]} pixels, {needed / 2**30:.1f} GiB",
                expected=f"{MOST_BYTES / 2**30:.0f} GiB at most",
                do="save it as a tiled TIFF, which is read by region",
            )
        try:
            pixels = np.asarray(opened.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise _unreadable(where, error) from error
    return PixelImage(pixels, reduced, size)


def is_tiff(path: Path) -> bool:
    """Whether the name says so."""
    return path.suffix.lower() in (".tif", ".tiff")


def _opened(path: Path, where: str) -> Any:
    """The header read; an image of many pixels is no attack here."""
    from PIL import Image as Pillow

    before, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
    try:
        return Pillow.open(path)
    except (OSError, SyntaxError, ValueError) as error:
        raise _unreadable(where, error) from error
    finally:
        Pillow.MAX_IMAGE_PIXELS = before


def _unreadable(where: str, error: Exception) -> DataError:
    return DataError(
        "the image cannot be read",
        where=where,
        got=str(error).partition("\n")[0] or type(error).__name__,
        expected="TIFF, JPEG or PNG",
        do="look whether it opens elsewhere; TIFF with JPEG compression needs `pip install imagecodecs`",
    )
