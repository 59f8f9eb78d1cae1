"""Training, validation and test clips: by actor, clip by clip, or as published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, RecipeError
from omib_cli.sources.folds import fold_split, must_give_a_split, outside_test, said_of_folds, with_validation
from omib_cli.sources.media.listing import Clip
from omib_cli.sources.rows import must_be_groups
from omib_cli.sources.sheets import counted
from omib_cli.sources.splits import given_split, made_split, strata

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.media import ClipSplitOptions


def chosen(
    clips: Sequence[Clip], options: ClipSplitOptions, recipe: Recipe, where: str, warnings: list[str]
) -> list[Clip]:
    """The clips that take part: all of them, but for those of a given test split that a fold is to leave out.

    Raises
    ------
    RecipeError
        Nothing says which they are.
    """
    every, fold = list(clips), options.fold
    if fold is None:
        return every
    if fold.within == "all":
        warnings.extend(said_of_folds(any(clip.split is not None for clip in every), fold, len(every)))
        return every
    must_give_a_split(all(clip.split is not None for clip in every), recipe.name)
    kept = outside_test(given_split([str(clip.split) for clip in every], options.names, where), warnings)
    return [every[place] for place in kept.tolist()]


def divide(
    clips: Sequence[Clip],
    labels: NDArray[np.float64],
    classes: Sequence[str],
    options: ClipSplitOptions,
    recipe: Recipe,
    where: str,
) -> NDArray[np.uint8]:
    """Codes (N,) of the split of each clip.

    Groups are kept whole by ``group`` alone: the published split of CREMA-D has every actor on both sides. Folds keep
    whole the groups that all clips have, unless ``random`` or ``stratified`` says otherwise.

    Raises
    ------
    RecipeError
        Nothing gives the groups or the split that the options ask for.
    DataError
        Too few clips or groups to divide, or values that name no split.
    """
    import numpy as np

    kinds = np.zeros(len(clips), dtype=np.int64)
    folded = options.fold is not None
    by_group = options.by == "group" or (folded and options.by == "given" and all(clip.group for clip in clips))
    if options.by in ("given", "stratified") or folded:
        kinds = strata(labels, classes=recipe.task.kind == "classification")
    units: list[object] = [clip.group if by_group else row for row, clip in enumerate(clips)]
    if by_group and any(clip.group is None for clip in clips):
        raise RecipeError(recipe.name, ["data.split.by: `group` needs a group of every clip (`data.labels.group`)"])
    if by_group:
        must_be_groups([str(unit) for unit in units], [clip.id for clip in clips], where)
    if len(set(units)) < 2:
        raise DataError("all clips are of one group" if by_group else "a single clip", where=where)
    groups = [str(unit) for unit in units] if by_group else None
    if options.fold is not None:
        split = fold_split(labels, groups, classes, options.fold, recipe.seed, where)
    elif options.by == "given":
        if any(clip.split is None for clip in clips):
            raise RecipeError(recipe.name, ["data.split.by: `given` needs a split of every clip (`data.labels.split`)"])
        split = given_split([str(clip.split) for clip in clips], options.names, where)
    else:
        split = made_split(units, kinds, options.test, recipe.seed)
    return with_validation(split, labels, groups, classes, kinds, options, recipe.seed, where)


def cut_groups(clips: Sequence[Clip], split: NDArray[np.uint8]) -> list[str]:
    """A warning if groups have clips on two sides; empty otherwise."""
    sides: dict[str, set[int]] = {}
    for clip, code in zip(clips, split.tolist(), strict=True):
        if clip.group:
            sides.setdefault(clip.group, set()).add(code)
    cut = sum(len(codes) > 1 for codes in sides.values())
    if not cut:
        return []
    return [
        f"{cut} of {counted(len(sides), 'group')} (actors) have clips in two splits: the scores do not say how well "
        "new ones are recognised (`data.split.by: group` does)"
    ]
