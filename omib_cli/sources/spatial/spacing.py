"""How far apart the spots of a section are, in pixels: what gives an image its scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omib_cli.errors import DataError
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEW = 5
"""Three spots that are not in a line make a grid; a handful more make a reliable one."""
HEXAGON = 3**0.5 / 2
ARRAYS = (
    (1.0, 1.0),
    (2 * HEXAGON, HEXAGON / 2),
    (1 / (2 * HEXAGON), HEXAGON / 2),
    (HEXAGON, HEXAGON),
    (1 / HEXAGON, HEXAGON),
)
"""Arrays of spots: the length of a step in the first coordinate over that in the second, and the area of a unit of both
in squares of the pitch. A square one; the hexagonal one of Visium, whose rows are sqrt(3)/2 pitches apart and whose
columns half a pitch; the same counted in whole pitches; either with the coordinates exchanged."""
SKEW = 0.07
"""By how much, in logarithm, the steps may differ from an array's: the nearest two are 0.14 apart."""


def spot_pitch(positions: NDArray[np.float64], array: NDArray[np.float64] | None, where: str) -> float:
    """Distance of neighbouring spots in pixels: by the array where there is one, else by the nearest spots.

    Parameters
    ----------
    positions, array
        (N, 2) in pixels, and rows and columns in the array of spots, or None.

    Raises
    ------
    DataError
        A single spot, spots all in one place, or pixels that contradict the array.
    """
    import numpy as np

    gridded = array is not None and len(positions) > FEW and np.linalg.matrix_rank(array - array.mean(axis=0)) == 2
    pitch = _grid_pitch(positions, array, where) if gridded and array is not None else _nearest_pitch(positions)
    if not (np.isfinite(pitch) and pitch > 0):
        raise DataError(
            "spots that have no distance from each other",
            where=where,
            got=f"{counted(len(positions), 'spot')}, {len(np.unique(positions, axis=0))} places",
            expected="a place in the image for each of several spots",
        )
    return pitch


def _grid_pitch(positions: NDArray[np.float64], array: NDArray[np.float64], where: str) -> float:
    """From the least-squares map of array coordinates to pixels.

    How long the steps from row to row and from column to column are tells which array it is, whatever made the file.
    """
    import numpy as np

    design = np.column_stack([array, np.ones(len(array))])
    solution = np.linalg.lstsq(design, positions, rcond=None)[0]
    affine = solution[:2]
    area, steps = abs(np.linalg.det(affine)), np.linalg.norm(affine, axis=1)
    off = np.sqrt(np.mean(np.square(design @ solution - positions).sum(axis=1)))
    kinds = [(cell, abs(np.log(steps[0] / steps[1] / ratio))) for ratio, cell in ARRAYS] if area > 0 else []
    cell, wrong = min(kinds, key=lambda kind: kind[1], default=(1.0, np.inf))
    pitch = float(np.sqrt(area / cell))
    if wrong > SKEW or off > pitch:
        raise DataError(
            "the array of spots and their pixels contradict each other",
            where=where,
            got=f"steps of {steps[0]:.3g} and {steps[1]:.3g} pixels from row to row and from column to column, "
            f"spots {off:.3g} pixels off",
            expected="a square or a hexagonal array (steps in a ratio of 1, 1.73 or 0.87), each spot at its place",
            do="look whether both are of the same section, in the same order",
        )
    return pitch


def _nearest_pitch(positions: NDArray[np.float64]) -> float:
    """The median distance (N, 2) to the nearest; 0 where there is no other."""
    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    if len(positions) < 2:
        return 0.0
    distances, _ = NearestNeighbors(n_neighbors=2).fit(positions).kneighbors(positions)
    return float(np.median(distances[:, 1]))
