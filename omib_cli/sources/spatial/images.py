"""Histology images, read by region where the format allows, and squares cut out of them around spots.

TIFF is read tile by tile. JPEG and PNG can only be decoded from their beginning, so they are decoded once for each
section and dropped; of a JPEG whose patches are to be scaled down by two or more, only half, a quarter or an eighth of
the resolution is ever decoded.
"""

from __future__ import annotations

import gzip
import zlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from omib_cli.errors import DataError, listed
from omib_cli.sources.pixels import over_white, refused, rgb
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_BYTES = 3 * 2**30
"""Most memory that decoding an image in one piece may take."""
DRAFTS = (8, 4, 2)
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""Pillow's names of pixels that mean RGB or grey of at most 8 bits."""
ORIENTATION = 274
"""The tag of EXIF and TIFF that says how an image is to be turned."""
GREY, RGB, YCBCR = 1, 2, 6
"""TIFF's photometric interpretations; 0 is negative, 3 a palette, 5 inks."""
JPEG = (6, 7, 34892)
"""TIFF's compressions whose colours the decoder brings to RGB."""
APERIO_YCBCR = 33003
ASSOCIATED, UNASSOCIATED = 1, 2
"""TIFF's kinds of opacity."""
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
                page, self._axes, shape = level.keyframe, str(level.axes), level.shape
                others = [f"{one.name} {'x'.join(map(str, one.shape))}" for one in file.series[1:]]
                larger = any(one.size >= level.size for one in file.series[1:])
                self._array: Any = zarr.open(level.aszarr(), mode="r")
        except Exception as error:
            raise _unreadable(where, error) from error
        if larger or "".join(sorted(self._axes)) not in ("SXY", "XY"):
            raise refused(where, f"axes {self._axes}, and {counted(len(others), 'further image')}", "one image, YXS")
        _must_be_plain(page, where)
        self.notes = [f"{where}: {listed(others)}: further images in the file are not used"] if others else []
        self._premultiplied = tuple(page.extrasamples) == (ASSOCIATED,)
        self._block = lru_cache(maxsize=KEPT)(self._read)
        self.height, self.width = (int(shape[self._axes.index(axis)]) for axis in "YX")
        channels = shape[self._axes.index("S")] if "S" in self._axes else 1
        self.notes += _said(where, grey=channels == 1, transparent=channels == 4)

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

        window = {"Y": slice(top, top + BLOCK), "X": slice(left, left + BLOCK), "S": slice(None)}
        try:
            found = np.asarray(self._array[tuple(window[axis] for axis in self._axes)])
        except Exception as error:
            raise _unreadable(self._where, error) from error
        found = np.moveaxis(found, self._axes.index("S"), -1) if "S" in self._axes else found
        whole = self._premultiplied and found.shape[-1] == 4
        return np.ascontiguousarray(over_white(found, premultiplied=True) if whole else rgb(found, self._where))


def look(source: Path | NDArray[Any], where: str) -> tuple[int, int, list[str]]:
    """Width, height, and what the user should know of the image, without decoding it.

    Raises
    ------
    DataError
        The file is no image, or one whose colours are not known for certain.
    """
    if not isinstance(source, Path):
        channels = 1 if source.ndim == 2 else source.shape[-1]
        height, width, _ = rgb(source, where).shape
        return width, height, _said(where, grey=channels == 1, transparent=channels == 4)
    if is_tiff(source):
        image = TiffImage(source, where)
        return image.width, image.height, image.notes
    with _opened(source, where) as opened:
        width, height = opened.size
        grey = opened.mode in ("1", "L", "LA")
        return width, height, _said(where, grey=grey, transparent=_is_transparent(opened))


def open_image(source: Path | NDArray[Any], where: str, shrink: float = 1.0) -> Image:
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
        return PixelImage(rgb(source, where))
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
            mode = "RGBA" if _is_transparent(opened) else "RGB"
            pixels = rgb(np.asarray(opened.convert(mode)), where)
        except (OSError, SyntaxError, ValueError) as error:
            raise _unreadable(where, error) from error
    return PixelImage(pixels, reduced, size)


def is_tiff(path: Path) -> bool:
    """Whether the file begins as one, classic or BigTIFF, whatever its name."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _opened(path: Path, where: str) -> Any:
    """The header read and found to be plain; an image of many pixels is no attack here."""
    from PIL import Image as Pillow

    before, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
    try:
        source = BytesIO(gzip.decompress(path.read_bytes())) if path.suffix == ".gz" else path
        opened = Pillow.open(source, formats=("JPEG", "PNG"))
        turned = opened.getexif().get(ORIENTATION, 1) if "exif" in opened.info else 1  # else Pillow decodes a PNG
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error) as error:
        raise _unreadable(where, error) from error
    finally:
        Pillow.MAX_IMAGE_PIXELS = before
    deep = opened.mode.startswith("I") or any("16" in str(tile[3]) for tile in opened.tile)
    if deep or opened.mode not in MODES:
        raise refused(where, f"{'16 bits, ' if deep else ''}mode {opened.mode}")
    if (frames := getattr(opened, "n_frames", 1)) > 1:
        raise refused(where, f"{frames} images in one file", "one image")
    _must_be_upright(turned, where)
    return opened


def _is_transparent(opened: Any) -> bool:
    return opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info


def _must_be_plain(page: Any, where: str) -> None:
    """Refuse a TIFF whose samples are no red, green and blue of 8 bits, or that is to be turned."""
    samples, extra = int(page.samplesperpixel), tuple(map(int, page.extrasamples))
    decoded = page.photometric == YCBCR and page.compression in JPEG  # to RGB, by tifffile
    known = {1: page.photometric == GREY and not extra, 3: (page.photometric == RGB or decoded) and not extra}
    known[4] = page.photometric == RGB and extra in ((ASSOCIATED,), (UNASSOCIATED,))
    if page.bitspersample != 8 or page.dtype is None or page.dtype.name != "uint8" or not known.get(samples):
        colours = getattr(page.photometric, "name", page.photometric)
        raise refused(where, f"{samples} samples of {page.bitspersample} bits, {page.dtype}, {colours}")
    if page.compression == APERIO_YCBCR:
        raise refused(where, "JPEG 2000 of luminance and chrominance (Aperio 33003)")
    turned = page.tags.get(ORIENTATION)
    _must_be_upright(1 if turned is None else turned.value, where)


def _must_be_upright(orientation: int, where: str) -> None:
    if orientation not in (0, 1):
        raise DataError(
            "an image that is to be turned or mirrored when shown",
            where=where,
            got=f"EXIF or TIFF orientation {int(orientation)}",
            expected="pixels as they are shown: positions could mean either",
            do="save it upright, as the positions were taken, without the orientation",
        )


def _said(where: str, *, grey: bool, transparent: bool) -> list[str]:
    notes = [f"{where}: a grey image: red, green and blue are alike"] if grey else []
    return notes + ([f"{where}: the image has opacity: what is transparent counts as white"] if transparent else [])


def _unreadable(where: str, error: Exception) -> DataError:
    return DataError(
        "the image cannot be read",
        where=where,
        got=str(error).partition("\n")[0] or type(error).__name__,
        expected="TIFF, JPEG or PNG",
        do="look whether it opens elsewhere; TIFF with JPEG compression needs `pip install imagecodecs`",
    )
