"""Training, validation and test: as given, or made from the seed. Whole groups stay on one side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError, listed
from omib_cli.runtime.seeds import derive_seed
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = range(len(fmt.SPLITS))
BINS = 10
"""Quantile bins that stand in for classes when values are stratified."""
FEW, FAR = 1.5, 0.1
"""By how many samples, and by what part of itself, a split may miss the share asked for without a word."""


def given_split(values: Sequence[str], names: Mapping[str, str], where: str) -> NDArray[np.uint8]:
    """Codes (N,) of the split that each sample is said to be in.

    Parameters
    ----------
    names
        What other values mean: ``{"dev": "validation"}``.

    Raises
    ------
    DataError
        Values that mean no split, all of them named.
    """
    import numpy as np

    codes = {name: code for code, name in enumerate(fmt.SPLITS)}
    codes.update({value: codes[meaning] for value, meaning in names.items()})
    unknown = {value: values.count(value) for value in dict.fromkeys(values) if value not in codes}
    if unknown:
        raise DataError(
            "values of the split column that name no split",
            where=where,
            got=listed(f"{value!r} ({counted(count, 'sample')})" for value, count in unknown.items()),
            expected=", ".join(codes),
            do="say what they mean: `data.split.names: {dev: validation}`",
        )
    return np.array([codes[value] for value in values], dtype=np.uint8)


INDEPENDENT = "set `data.split.by: group`, or leave `data.labels.group` out if its samples are independent"


def must_keep_groups(split: NDArray[np.uint8], groups: Sequence[str], where: str, do: str = INDEPENDENT) -> None:
    """Refuse a given split that has a group on two sides, with what to do about it."""
    sides: dict[str, dict[int, int]] = {}
    for group, code in zip(groups, split.tolist(), strict=True):
        counts = sides.setdefault(group, {})
        counts[code] = counts.get(code, 0) + 1
    cut = {group: counts for group, counts in sides.items() if len(counts) > 1}
    if cut:
        shown = [
            f"{group!r} ({', '.join(f'{fmt.SPLITS[code]} {count}' for code, count in sorted(counts.items()))})"
            for group, counts in cut.items()
        ]
        raise DataError(
            f"the given split cuts {counted(len(cut), 'group')}",
            where=where,
            got=listed(shown),
            expected="every group in one split: what is learnt of a group must not help to predict the same group",
            do=do,
        )


def strata(labels: NDArray[np.float64], *, classes: bool) -> NDArray[np.int64]:
    """What a stratified split keeps in proportion: the class (N,), or the quantile bin of the value."""
    import numpy as np

    if classes:
        return labels.astype(np.int64)
    # Ten bins of equal counts: values have no classes, and a random tenth of each keeps both tails in every split
    edges = np.quantile(labels, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, labels, side="right")


def held_out(
    units: Sequence[object], kinds: NDArray[np.int64], share: float, seed: int, purpose: str
) -> NDArray[np.bool_]:
    """Which samples to hold out: whole units, about ``share`` of the samples of each kind.

    The units are taken in random order; each is held out if that brings the counts nearer to the aim.

    Parameters
    ----------
    units
        (N,) the group of each sample, or its number where there are no groups.
    kinds
        (N,) the stratum of each sample; all alike for a split that does not stratify.
    """
    import numpy as np

    members: dict[object, list[int]] = {}
    for row, unit in enumerate(units):
        members.setdefault(unit, []).append(row)
    # A unit may hold several classes, and units differ in size, so no exact division exists in general. The counts of
    # all kinds are one point, the aim another; units are met in random order, and each is taken if it brings the point
    # nearer. One pass, no order of sizes: what is held out depends on chance alone, not on how large a group is.
    aim = {int(kind): share * int(count) for kind, count in zip(*np.unique(kinds, return_counts=True), strict=True)}
    order = np.random.Generator(np.random.Philox(key=derive_seed(seed, "split", purpose))).permutation(len(members))
    every = list(members.values())
    taken = dict.fromkeys(aim, 0)
    out = np.zeros(len(units), dtype=bool)
    for place in order.tolist():
        rows = every[place]
        added: dict[int, int] = {}
        for kind in kinds[rows].tolist():
            added[kind] = added.get(kind, 0) + 1
        # (taken + count - aim)^2 - (taken - aim)^2 for each kind. A unit of one sample is taken while its kind is more
        # than half a sample short, which rounds the share of each class. A class of two at a share of 0.2 is .4 short
        # and gets none, with any seed: `remarks` says so, since drawing one would hold out half of that class.
        change = sum(count * (count + 2 * (taken[kind] - aim[kind])) for kind, count in added.items())
        if change < 0:
            out[rows] = True
            for kind, count in added.items():
                taken[kind] += count
    # Two groups of fifty at a share of .2: each alone overshoots by more than it helps, and none was taken. A split
    # without samples is of no use, so the smallest goes, and `remarks` says by how much the share was missed.
    if share > 0 and not out.any() and len(members) > 1:
        out[min((every[place] for place in order.tolist()), key=len)] = True
    return out


def made_split(units: Sequence[object], kinds: NDArray[np.int64], test: float, seed: int) -> NDArray[np.uint8]:
    """Codes (N,) of a split into training and test."""
    import numpy as np

    return np.where(held_out(units, kinds, test, seed, "test"), TEST, TRAIN).astype(np.uint8)


def carve_validation(
    split: NDArray[np.uint8], units: Sequence[object], kinds: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.uint8]:
    """The split with about ``share`` of its training samples moved to validation."""
    import numpy as np

    # Out of training alone: the test split, given or made, is what it was. The purpose "validation" draws an order of
    # its own, so that asking for validation does not change which samples are tested.
    rows = np.flatnonzero(split == TRAIN)
    moved = held_out([units[row] for row in rows.tolist()], kinds[rows], share, seed, "validation")
    carved = split.copy()
    carved[rows[moved]] = VALIDATION
    return carved


def remarks(
    split: NDArray[np.uint8],
    labels: NDArray[np.float64],
    classes: Sequence[str],
    *,
    test: float | None,
    validation: float | None,
) -> list[str]:
    """What is to be said of a split: shares far from those asked for, classes that are not tried.

    Parameters
    ----------
    split
        (N,) codes, finished.
    labels, classes
        (N,) indices into the names of classes; no names for values.
    test, validation
        The shares asked for, of all samples and of those outside the test split; None where a split is as given.
    """
    import numpy as np

    counts = {code: int(np.sum(split == code)) for code in (TRAIN, VALIDATION, TEST)}
    rest = len(split) - counts[TEST]
    slack = len(classes) / 2  # each class is rounded for itself
    found = _far_off("test", counts[TEST], len(split), test, slack)
    found += _far_off("validation", counts[VALIDATION], rest, validation, slack)
    for code in (VALIDATION, TEST):
        there = set(labels[split == code].tolist())
        absent = [index for index in range(len(classes)) if index not in there] if there else []
        if absent:
            named = (f"{classes[index]!r} ({counted(int(np.sum(labels == index)), 'sample')})" for index in absent)
            found.append(f"classes without a sample in the {fmt.SPLITS[code]} split: {listed(named)}")
    return found


def _far_off(name: str, count: int, total: int, share: float | None, slack: float) -> list[str]:
    """A warning where whole groups, or classes too small to divide, have moved a share away from what was asked."""
    if share is None or abs(count - share * total) <= max(FEW, FAR * share * total, slack):
        return []
    return [
        f"data.split.{name}: a share of {share:g} was asked for, and {count} of {total} samples "
        f"({count / max(total, 1):.2g}) were given: groups are kept whole, and small classes cannot be divided"
    ]
