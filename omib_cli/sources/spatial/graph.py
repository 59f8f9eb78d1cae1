"""The graph of a section: each spot joined with its nearest ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def nearest_spots(positions: NDArray[np.float64], count: int) -> list[list[int]]:
    """The neighbours of each spot: ``count`` nearest ones, and those of which it is a nearest one (Section 6.5).

    Parameters
    ----------
    positions
        (N, 2) of the spots of one section.

    Returns
    -------
    For each spot its neighbours in increasing order, without itself.
    """
    from sklearn.neighbors import NearestNeighbors

    spots = len(positions)
    joined: list[set[int]] = [set() for _ in range(spots)]
    if spots < 2:
        return [[] for _ in joined]
    search = NearestNeighbors(n_neighbors=min(count, spots - 1)).fit(positions)
    for spot, near in enumerate(search.kneighbors(return_distance=False).tolist()):
        for other in near:
            joined[spot].add(other)
            joined[other].add(spot)
    return [sorted(one) for one in joined]


def rows_of_neighbours(joined: list[list[int]], place: NDArray[np.int64], into: NDArray[np.int32]) -> NDArray[np.int32]:
    """Neighbours of one section's spots as rows of the dataset, added to those of the other sections.

    A spot that is left out of the dataset takes its edges with it: an edge means that spots touch, and joining those on
    either side of a gap would say otherwise.

    Parameters
    ----------
    joined
        From :func:`nearest_spots`.
    place
        (spots of the section,) row of each spot in the dataset, -1 where it is left out.
    into
        (N, K) rows of the neighbours so far, -1 where there is none.

    Returns
    -------
    ``into``, widened where a spot has more than K neighbours.
    """
    import numpy as np

    kept = {int(place[spot]): [int(place[one]) for one in near] for spot, near in enumerate(joined) if place[spot] >= 0}
    found = {row: [one for one in near if one >= 0] for row, near in kept.items()}
    widest = max((len(near) for near in found.values()), default=0)
    if widest > into.shape[1]:
        into = np.pad(into, ((0, 0), (0, widest - into.shape[1])), constant_values=-1)
    for row, near in found.items():
        into[row, : len(near)] = near
    return into


def mean_around(values: NDArray[np.float32], neighbours: NDArray[np.int32]) -> NDArray[np.float32]:
    """The mean of each row (N, D) and of the rows that are its neighbours (N, K), -1 where there is none."""
    import numpy as np

    there = neighbours >= 0
    total = values.astype(np.float64)
    for column in range(neighbours.shape[1]):
        rows = np.flatnonzero(there[:, column])
        total[rows] += values[neighbours[rows, column]]
    mean: NDArray[np.float32] = (total / (1 + there.sum(axis=1))[:, None]).astype(np.float32)
    return mean
