"""How the features of new samples differ from those that a model was trained on, and what that means in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from omib_cli.artifacts.dataset import Dataset
from omib_cli.training.novelty import Ranges, novelty_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 10
"""Features that are named, those that are shifted most."""
FAR = 1.0
"""Training deviations by which a feature's mean is far from that of training; more for few samples, which scatter."""
MANY = 0.05
"""Share of the features that may be far, or of the values outside the training range, before a reader is warned."""
NOVEL = 0.99
"""Novelty beyond which a sample is unlike the training samples; of samples like them one in a hundred is."""
ALIKE = 0.02
"""Median novelty below which samples are nearer to the training mean than training samples are."""
SEVERAL = 20
"""Samples from which on their median novelty is looked at."""
DOUBT = 0.1
"""Share of the samples that may be so before a reader is warned."""


def shift_of(data: Dataset, carried: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """By modality of vectors, how a dataset's samples differ from a model's training samples.

    ``samples`` is how many have it; ``outside`` the share of their values outside the training range; ``far`` how many
    of the ``features`` have a mean that is far from that of training; ``most`` the features shifted most: name,
    standardised difference of the means, and both means.

    Parameters
    ----------
    carried
        What the model carries, by name.
    """
    found = {}
    for name in data.modalities:
        ranges = novelty_of(carried, name)[1]
        if ranges is not None:
            found[name] = _shift(data, name, ranges)
    return {name: shift for name, shift in found.items() if shift["samples"]}


def _shift(data: Dataset, name: str, ranges: Ranges) -> dict[str, Any]:
    place = list(data.modalities).index(name)
    count, outside, total = 0, 0, np.zeros(len(ranges.mean))
    for rows in data.blocks(range(len(data.readable))):
        values = data.values(name, rows)[data.present(rows)[:, place]].astype(np.float64)
        count, total = count + len(values), total + values.sum(axis=0)
        outside += int(((values < ranges.low) | (values > ranges.high)).sum())
    if not count:
        return {"samples": 0}
    mean = total / count
    # a feature that does not vary in training has no unit of its own: that of the others' deviations stands in
    usual = float(np.median(ranges.sd[ranges.sd > 0])) if (ranges.sd > 0).any() else 1.0
    difference = (mean - ranges.mean) / np.where(ranges.sd > 0, ranges.sd, usual)
    order = np.argsort(-np.abs(difference), kind="stable")[:SHOWN]
    names = data.features(name) or [f"column {column + 1}" for column in range(len(mean))]
    before, now = (_in_the_files_unit(data, name, values) for values in (ranges.mean, mean))
    far = np.abs(difference) > FAR + 3 / np.sqrt(count)
    return {
        "samples": count,
        "features": len(mean),
        "outside": outside / (count * len(mean)),
        "far": int(far.sum()),
        "most": [
            [names[column], float(difference[column]), float(before[column]), float(now[column])]
            for column in order.tolist()
        ],
    }


def _in_the_files_unit(data: Dataset, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features (D,) as the files have them, where all that was done to them is to standardise them."""
    fitted = data.preprocessing(name)
    if any(key not in fitted or fitted[key].shape != values.shape for key in ("offset", "scale")):
        return values
    return np.asarray(values * fitted["scale"] + fitted["offset"])


def verdicts(shift: Mapping[str, Mapping[str, Any]], novelty: Mapping[str, NDArray[np.floating[Any]]]) -> list[str]:
    """Plain sentences on when predictions should not be trusted; none where the samples are like the training samples.

    Parameters
    ----------
    novelty
        By modality (N,), NaN where a sample does not have it.
    """
    found = []
    for name, one in shift.items():
        scatter = 3 * np.sqrt(MANY / (one["samples"] * one["features"]))  # of the share among so few values
        if one["outside"] > MANY + scatter or one["far"] > MANY * one["features"]:
            found.append(
                f"the values of {name} are not like those of training: {100 * one['outside']:.3g} % of them are outside"
                f" its range, and {one['far']} of {one['features']} features have another mean. Are they in the same"
                " unit and on the same scale (raw or log, counts or shares)? If so this is another population; do not"
                " trust these predictions before they are checked on labelled samples of it"
            )
    for name, values in novelty.items():
        known = values[np.isfinite(values)]
        odd = int((known > NOVEL).sum())
        if odd > max(1, DOUBT * len(known)) or (odd and odd == len(known)):
            found.append(
                f"{odd} of {len(known)} samples are unlike every training sample in {name} (novelty above {NOVEL:g}, "
                f"where {100 * (1 - NOVEL):.0f} % would be): do not trust their predictions"
            )
        if len(known) >= SEVERAL and np.median(known) < ALIKE:
            found.append(
                f"the samples vary less in {name} than the training samples do (half of them have a novelty of at most "
                f"{np.median(known):.2g}, where 0.5 would be): another population, or prepared in another way"
            )
    return found
