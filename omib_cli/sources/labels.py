"""Labels as they are written to labels as the network needs them: class indices, or finite values."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import exact_numbers
from omib_cli.sources.rows import must_be_spelt_alike, must_be_whole
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


CODE = re.compile(r"[+-]?0\d+", re.ASCII)
"""A whole number with leading zeros: a code, in which the zeros count."""


def class_labels(values: Sequence[str], where: str) -> tuple[NDArray[np.float64], list[str]]:
    """Class index of each label (N,) float64, and the names of the classes.

    Whole numbers are sorted by size and written as such (``1.0`` is class "1"), other names by alphabet. Codes with
    leading zeros are names.

    Raises
    ------
    DataError
        The labels are fractions or infinite, or have lost digits; two classes may be one, written in two ways.
    """
    import numpy as np

    must_be_whole(values, where, "classes")
    exact = None if any(CODE.fullmatch(value) for value in values) else exact_numbers(values)
    if exact is None:
        must_be_spelt_alike(values, where, "classes")
        names = sorted(set(values))
        written = list(values)
    else:
        odd = [value for value, number in zip(values, exact, strict=True) if number != int(number)]
        if odd:
            raise DataError(
                "labels that are no classes",
                where=where,
                got=listed(odd),
                expected="names or whole numbers, for `task.kind: classification`",
                do="set `task.kind: regression` if these are values",
            )
        written = [str(int(number)) for number in exact]
        names = sorted(set(written), key=int)
    _must_be_finite(values, where)
    index = {name: place for place, name in enumerate(names)}
    return np.array([index[name] for name in written], dtype=np.float64), names


def value_labels(values: Sequence[str], names: Sequence[str], where: str) -> NDArray[np.float64]:
    """Each label as a finite number: (N,) float64.

    Raises
    ------
    DataError
        Naming the first sample whose label is none.
    """
    import numpy as np

    for name, value in zip(names, values, strict=True):
        if exact_numbers([value]) is None or not math.isfinite(float(value)):
            raise DataError(
                "a label that is no finite number",
                where=f"{where}, sample {name!r}",
                got=repr(value),
                do="correct it, or set `task.kind: classification` if labels are names",
            )
    return np.array([float(value) for value in values])


def known_labels(
    values: Sequence[str], names: Sequence[str], classes: Sequence[str], where: str, warnings: list[str]
) -> NDArray[np.float64]:
    """Labels of new samples (N,) for a trained model: class index or value, NaN where there is none.

    Parameters
    ----------
    values
        (N,) as they are written, empty where unknown. A whole number is a class however it is written (``1.0`` is "1").
    classes
        Those that the model knows; empty where labels are values.
    warnings
        Told of labels that are none of them: such samples count as unknown.
    """
    import numpy as np

    found = np.full(len(values), np.nan)
    there = [row for row, value in enumerate(values) if value]
    if not classes:
        found[there] = value_labels([values[row] for row in there], [names[row] for row in there], where)
        return found
    index = {name: code for code, name in enumerate(classes)}
    written = {value: as_class(value, index) for value in {values[row] for row in there}}
    strange = [values[row] for row in there if written[values[row]] not in index]
    if strange:
        warnings.append(
            f"{where}: classes that the model does not know, which count as unknown: "
            f"{listed(map(repr, dict.fromkeys(strange)))} ({counted(len(strange), 'sample')})"
        )
    for row in there:
        found[row] = index.get(written[values[row]], np.nan)
    return found


def as_class(value: str, classes: Collection[str]) -> str:
    """A label as :func:`class_labels` names its class, if there is one: ``1.0`` may be class "1"."""
    number = None if value in classes or CODE.fullmatch(value) else exact_numbers([value])
    return value if number is None or number[0] != int(number[0]) else str(int(number[0]))


def must_be_learnable(
    labels: NDArray[np.float64], split: NDArray[np.uint8], classes: Sequence[str], where: str
) -> None:
    """Refuse splits without samples, a single class in training, classes that training never sees.

    Parameters
    ----------
    labels
        (N,) class indices or values.
    split
        (N,) indices into ``format.SPLITS``.
    classes
        Names of the classes, empty for values.
    """
    import numpy as np

    counts = {name: int(np.sum(split == code)) for code, name in enumerate(fmt.SPLITS)}
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    if counts["train"] < 2 or not counts["test"]:
        raise DataError(
            "the training split needs at least two samples and the test split one",
            where=where,
            got=shown,
            do="look at `data.split` in the recipe",
        )
    training = np.unique(labels[split == 0])
    if len(training) < 2:
        only = classes[int(training[0])] if classes else training[0]
        raise DataError(
            "the training split has one label only",
            where=where,
            got=f"{only!r} in all {counts['train']} samples",
            expected="at least two classes" if classes else "values that differ",
            do="look at `data.labels.column` and `data.split`",
        )
    must_be_seen(labels, split, classes, where)


def must_be_seen(labels: NDArray[np.float64], split: NDArray[np.uint8], classes: Sequence[str], where: str) -> None:
    """Refuse classes that training never sees; the parameters are those of :func:`must_be_learnable`."""
    import numpy as np

    seen = set(labels[split == 0].astype(int).tolist())
    unseen = [index for index in range(len(classes)) if index not in seen]
    if unseen:
        raise DataError(
            "classes that are not in the training split",
            where=where,
            got=listed(f"{classes[index]!r} ({counted(int(np.sum(labels == index)), 'sample')})" for index in unseen),
            do="merge or remove these classes, or divide the samples otherwise (`data.split.by: stratified`)",
        )


def _must_be_finite(values: Sequence[str], where: str) -> None:
    """Refuse infinity among whole numbers."""
    finite = [value for value in values if value.casefold().lstrip("+-") not in ("inf", "infinity")]
    if len(finite) < len(values) and exact_numbers(finite) is not None:
        infinite = next(value for value in values if value not in finite)
        raise DataError("a label that is infinite", where=where, got=infinite, do="leave the cell empty")
