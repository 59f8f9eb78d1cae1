"""Training, validation and test clips: by actor, clip by clip, or as published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, RecipeError
from omib_cli.sources.media.listing import Clip
from omib_cli.sources.rows import must_be_groups
from omib_cli.sources.sheets import counted
from omib_cli.sources.splits import TRAIN, VALIDATION, carve_validation, given_split, made_split, strata

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.media import ClipSplitOptions


def divide(
    clips: Sequence[Clip], labels: NDArray[np.float64], options: ClipSplitOptions, recipe: Recipe, where: str
) -> NDArray[np.uint8]:
    """Codes (N,) of the split of each clip.

    Groups are kept whole by ``group`` alone: the published split of CREMA-D has every actor on both sides.

    Raises
    ------
    RecipeError
        Nothing gives the groups or the split that the options ask for.
    DataError
        Too few clips or groups to divide, or values that name no split.
    """
    import numpy as np

    kinds = np.zeros(len(clips), dtype=np.int64)
    if options.by in ("given", "stratified"):
        kinds = strata(labels, classes=recipe.task.kind == "classification")
    units: list[object] = [clip.group if options.by == "group" else row for row, clip in enumerate(clips)]
    if options.by == "group" and any(clip.group is None for clip in clips):
        raise RecipeError(recipe.name, ["data.split.by: `group` needs a group of every clip (`data.labels.group`)"])
    if options.by == "group":
        must_be_groups([str(unit) for unit in units], [clip.id for clip in clips], where)
    if len(set(units)) < 2:
        raise DataError("all clips are of one group" if options.by == "group" else "a single clip", where=where)
    if options.by == "given":
        if any(clip.split is None for clip in clips):
            raise RecipeError(recipe.name, ["data.split.by: `given` needs a split of every clip (`data.labels.split`)"])
        split = given_split([str(clip.split) for clip in clips], options.names, where)
    else:
        split = made_split(units, kinds, options.test, recipe.seed)
    if options.validation and not np.any(split == VALIDATION):
        split = carve_validation(split, units, kinds, options.validation, recipe.seed)
        if not np.any(split == VALIDATION):
            raise DataError(
                "nothing is left for the validation split",
                where=where,
                got=f"a share of {options.validation:g} of {int(np.sum(split == TRAIN))} training clips",
                do="raise `data.split.validation`, or set it to 0",
            )
    return split


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
