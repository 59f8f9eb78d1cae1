"""Folds of a cross-validation: scikit-learn's splitters, seeded by the recipe, with refusals in words.

Folds are stratified where labels are classes, and whole groups are in one fold where there are groups. What is fitted
(scaling, selection of features, bounds) is fitted to what a fold leaves, as with any other test split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError, RecipeError, listed
from omib_cli.recipe.sources.common import InnerFoldOptions
from omib_cli.runtime.seeds import derive_seed
from omib_cli.sources.sheets import counted
from omib_cli.sources.splits import TEST, TRAIN, VALIDATION, carve_validation
from omib_cli.sources.survival import EVENT_STRATA

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.common import FoldOptions, SplitOptions

FEWER = "ask for fewer folds (`--folds`)"


def fold_split(
    labels: NDArray[np.float64],
    groups: Sequence[str] | None,
    classes: Sequence[str],
    options: FoldOptions,
    seed: int,
    where: str,
) -> NDArray[np.uint8]:
    """Codes (N,) of a split whose test samples are those of one fold, all others training.

    Parameters
    ----------
    labels, classes
        (N,) indices into the names of classes; no names for values.
    groups
        (N,) whole ones are in one fold.

    Raises
    ------
    DataError
        More folds than samples of a class, or groups, allow; a fold without a class.
    """
    import numpy as np

    number = folds_of(labels, groups, classes, options.folds, derive_seed(seed, "folds", options.repeat), where)
    return np.where(number == options.number, TEST, TRAIN).astype(np.uint8)


def folds_of(
    labels: NDArray[np.float64],
    groups: Sequence[str] | None,
    classes: Sequence[str],
    folds: int,
    seed: int,
    where: str,
) -> NDArray[np.int64]:
    """The fold (N,) that each sample is in, from 1, of a division drawn from the seed; as :func:`fold_split`."""
    import numpy as np

    _must_be_enough(labels, groups, classes, folds, where)
    number = np.zeros(len(labels), dtype=np.int64)
    state = seed % 2**32
    for place, held in enumerate(_divided(labels, groups, classes, folds, state), start=1):
        number[held] = place
    _must_have_all_classes(number, labels, classes, folds, where)
    return number


def with_validation(
    split: NDArray[np.uint8],
    labels: NDArray[np.float64],
    groups: Sequence[str] | None,
    classes: Sequence[str],
    kinds: NDArray[np.int64],
    options: SplitOptions,
    seed: int,
    where: str,
) -> NDArray[np.uint8]:
    """The split (N,) with validation samples: those that it has, a share of the training ones, or a fold of the rest.

    Parameters
    ----------
    kinds
        (N,) what a share is drawn in proportion of.

    Raises
    ------
    DataError
        A share that leaves nothing; folds as in :func:`fold_split`.
    """
    import numpy as np

    asked = options.validation
    if isinstance(asked, InnerFoldOptions):  # of all that is not tested, validation samples that are given included
        rest = np.flatnonzero(split != TEST)
        own = None if groups is None else [groups[row] for row in rest.tolist()]
        drawn = derive_seed(seed, "inner folds", 1 if options.fold is None else options.fold.repeat)
        number = folds_of(labels[rest], own, classes, asked.folds, drawn, where)
        divided = split.copy()
        divided[rest] = np.where(number == asked.number, VALIDATION, TRAIN)
        return divided
    if not asked or np.any(split == VALIDATION):
        return split
    units = list(range(len(split))) if groups is None else list(groups)
    carved = carve_validation(split, units, kinds, asked, seed)
    if not np.any(carved == VALIDATION):
        raise DataError(
            "nothing is left for the validation split",
            where=where,
            got=f"a share of {asked:g} of {counted(int(np.sum(split == TRAIN)), 'training sample')}",
            do="raise `data.split.validation`, or set it to 0",
        )
    return carved


def _divided(
    labels: NDArray[np.float64], groups: Sequence[str] | None, classes: Sequence[str], folds: int, state: int
) -> list[NDArray[np.intp]]:
    """Rows of each fold."""
    import numpy as np
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    rows = np.zeros((len(labels), 1))
    drawn: dict[str, Any] = {"shuffle": True, "random_state": state}
    if classes:
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        return [held for _, held in kind(folds, **drawn).split(rows, labels.astype(np.int64), groups)]
    if groups is None:
        return [held for _, held in KFold(folds, **drawn).split(rows)]
    # GroupKFold draws nothing before scikit-learn 1.6; folds of the groups' names are the same promise
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    return [np.flatnonzero(np.isin(codes, held)) for _, held in KFold(folds, **drawn).split(names)]


def _must_be_enough(
    labels: NDArray[np.float64], groups: Sequence[str] | None, classes: Sequence[str], folds: int, where: str
) -> None:
    import numpy as np

    for index, name in enumerate(classes):
        count = int(np.sum(labels == index))
        own = [] if groups is None else [groups[row] for row in np.flatnonzero(labels == index).tolist()]
        held = count if groups is None else len(set(own))
        what = "sample" if groups is None else "group"
        if held < folds:
            raise DataError(
                f"more folds than {what}s of class {name!r}",
                where=where,
                got=f"{folds} folds, {counted(held, what)} of {name!r}",
                expected=f"at least one {what} of every class in each fold",
                do=FEWER + ("" if tuple(classes) == EVENT_STRATA else ", or leave that class out"),
            )
    units, what = (len(labels), "sample") if groups is None else (len(set(groups)), "group")
    if units < folds:
        raise DataError(f"more folds than {what}s", where=where, got=f"{folds} folds, {counted(units, what)}", do=FEWER)


def _must_have_all_classes(
    number: NDArray[np.int64], labels: NDArray[np.float64], classes: Sequence[str], folds: int, where: str
) -> None:
    """Refuse a fold that no sample, or none of a class, is in: large groups may leave no other division."""
    import numpy as np

    for fold in range(1, folds + 1):
        there = set(labels[number == fold].tolist())
        absent = [repr(name) for index, name in enumerate(classes) if index not in there]
        if absent or not np.any(number == fold):
            raise DataError(
                f"fold {fold} of {folds} has no sample" + (f" of class {listed(absent)}" if absent else ""),
                where=where,
                got=f"labels of {len(there)} kinds; whole groups are in one fold",
                expected="every class in each fold, or its metrics say nothing",
                do=FEWER + ", or another seed",
            )


def said_of_folds(given: bool, options: FoldOptions, samples: int) -> list[str]:
    """What is to be said where the data give a split of their own, which folds do not keep."""
    if not given or options.within == "train":
        return []
    return [
        f"the split that the data gives is not used: all {samples:,} samples are pooled and divided into "
        f"{options.folds} folds (`--within train` leaves its test samples out)"
    ]


def outside_test(split: NDArray[np.uint8], warnings: list[str]) -> NDArray[np.intp]:
    """Rows that a given split does not say to be test; how many are left out is said aloud."""
    import numpy as np

    kept = np.flatnonzero(split != TEST)
    warnings.append(
        f"{counted(len(split) - len(kept), 'sample')} of the {fmt.SPLITS[TEST]} split that the data gives: left out; "
        f"the other {len(kept):,} are divided into folds"
    )
    return kept


def must_give_a_split(given: bool, recipe: str) -> None:
    """Refuse to leave out test samples that nothing tells apart.

    Raises
    ------
    RecipeError
        There is no given split.
    """
    if not given:
        raise RecipeError(
            recipe, ["data.split.fold.within: `train`, but the data gives no split that says what is training"]
        )
