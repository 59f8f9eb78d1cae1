"""Any picture's pixels to 8-bit RGB, or a refusal: depth, scale and colours are never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HALF_A_LEVEL = 0.5 / 255
"""By how much fractions of 1 may overshoot: what rounding takes away again."""
DARK = 2
"""Fractional values that stop below it could be fractions of 1 that overshoot, or a black picture of 256 levels."""


def rgb(pixels: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Red, green and blue of a picture: (height, width, 3) uint8.

    Parameters
    ----------
    pixels
        (height, width) or (height, width, 1) grey, (height, width, 3) RGB, or (height, width, 4) with opacity, which is
        laid over white. Either levels from 0 to 255, whatever their type, or real numbers from 0 to 1.

    Raises
    ------
    DataError
        Another shape; values outside both ranges (12 or 16 bits, normalised, missing), or that fit either.
    """
    import numpy as np

    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise refused(where, f"shape {pixels.shape}", "(height, width, 3)")
    levels = _levels(pixels, where)
    return over_white(levels) if levels.shape[2] == 4 else np.broadcast_to(levels, (*levels.shape[:2], 3))


def over_white(pixels: NDArray[np.uint8], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """A picture with opacity (height, width, 4) on white paper: (height, width, 3).

    Parameters
    ----------
    premultiplied
        Whether the colours are multiplied with the opacity already (TIFF's associated alpha).
    """
    import numpy as np

    opacity = pixels[..., 3:].astype(np.float32) / 255
    colour = pixels[..., :3] * (1 if premultiplied else opacity)
    return np.rint(np.clip(colour + 255 * (1 - opacity), 0, 255)).astype(np.uint8)


def refused(where: str, got: str, expected: str = "8-bit grey, RGB, or RGB with opacity") -> DataError:
    """The error for a picture whose colours are not known for certain."""
    return DataError("no RGB image", where=where, got=got, expected=expected, do="save it as 8-bit RGB")


def _levels(pixels: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """0 to 255, of any type that says which values mean black and white."""
    import numpy as np

    if pixels.dtype == np.uint8 or not pixels.size:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype.kind not in "iuf":
        raise refused(where, f"pixels of type {pixels.dtype}")
    low, high = float(pixels.min()), float(pixels.max())
    if pixels.dtype.kind == "f" and low >= -HALF_A_LEVEL and high <= 1 + HALF_A_LEVEL:
        return np.asarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    if low >= 0 and high <= 255 and (high >= DARK or bool((pixels == np.rint(pixels)).all())):
        return np.asarray(np.rint(pixels).astype(np.uint8))
    raise refused(
        where,
        f"{pixels.dtype} from {low:g} to {high:g}: which value is white?",
        "0 to 255 (8 bits, not 12 or 16), or fractions from 0 to 1",
    )
