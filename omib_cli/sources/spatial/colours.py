"""What colour a spot is: statistics of the pixels of its patch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omib_cli.sources.spatial.patches import cut_patches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.sources.spatial.patches import PatchPlan

STAINS = {"haematoxylin": (0.65, 0.70, 0.29), "eosin": (0.07, 0.99, 0.11), "dab": (0.27, 0.57, 0.78)}
"""Absorption in red, green and blue (Ruifrok and Johnston 2001)."""
CHANNELS = ("red", "green", "blue", "hue", "saturation", "value", *STAINS)
STATISTICS = ("mean", "sd", "median")
AT_ONCE = 512
"""Patches whose pixels are in memory as real numbers."""


def names() -> list[str]:
    """Of the columns of :func:`colour_statistics`, such as ``red_mean``."""
    spaces = (CHANNELS[:3], CHANNELS[3:6], CHANNELS[6:])
    return [f"{channel}_{statistic}" for space in spaces for statistic in STATISTICS for channel in space]


def colours(plan: PatchPlan) -> NDArray[np.float32]:
    """The statistics of every patch of a section, (N, 27)."""
    import numpy as np

    patches = cut_patches(plan)
    parts = [colour_statistics(patches[start : start + AT_ONCE]) for start in range(0, len(patches), AT_ONCE)]
    return np.concatenate(parts).astype(np.float32) if parts else np.empty((0, len(names())), dtype=np.float32)


def colour_statistics(patches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean, standard deviation and median of RGB, HSV and three stains: (N, 3, P, P) to (N, 27).

    A stain's amount is what of it must have absorbed the light that is missing (colour deconvolution). Hue is that of
    `matplotlib`, from 0 to 1; its jump at red does no harm where tissue is pink to violet.
    """
    import numpy as np
    from matplotlib.colors import rgb_to_hsv

    rgb = patches.reshape(len(patches), 3, -1).transpose(0, 2, 1).astype(np.float64)
    stains = -np.log((rgb + 1) / 256) @ np.linalg.inv(np.array(list(STAINS.values())))
    spaces = (rgb, rgb_to_hsv(rgb / 255), stains)
    statistics = (np.mean, np.std, np.median)
    return np.concatenate([take(space, axis=1) for space in spaces for take in statistics], axis=1)
