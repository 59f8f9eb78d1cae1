"""Which runs a cross-validation consists of: repeats and folds, as overrides of a recipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from omib_cli.errors import UsageError
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.common import FoldOptions, InnerFoldOptions

KEY, INNER_KEY = "data.split.fold", "data.split.validation"
"""Where a recipe says which fold it tests, and which of the others validates."""


@dataclass(frozen=True)
class Folds:
    """How samples are divided: into how many folds, how often, and which samples.

    Attributes
    ----------
    within
        ``all`` samples, or those outside the given test split (``train``).

    Raises
    ------
    UsageError
        Fewer than two folds, or no repeat.
    """

    count: int
    repeats: int = 1
    within: str = "all"

    def __post_init__(self) -> None:
        if self.count < 2:
            raise UsageError(
                f"{self.count} folds divide nothing", expected="2 folds or more", do="--folds 5, for example"
            )
        if self.repeats < 1:
            raise UsageError("no repeat, no result", got=f"--repeats {self.repeats}", expected="1 or more")

    def runs(self, seeds: Iterable[int]) -> Iterator[tuple[int, FoldOptions]]:
        """Seed and fold of each run, repeats outermost: every repeat has a seed, and divides anew."""
        for repeat, seed in enumerate(seeds, start=1):
            for number in range(1, self.count + 1):
                said = {"number": number, "folds": self.count, "repeat": repeat, "within": self.within}
                yield seed, FoldOptions.model_validate(said)


def override_of(fold: FoldOptions | InnerFoldOptions) -> str:
    """A fold as ``--set`` takes it: one that is tested, or one that validates."""
    key = KEY if isinstance(fold, FoldOptions) else INNER_KEY
    return f"{key}={json.dumps(fold.model_dump(mode='json'))}"


def must_be_foldable(recipe: Recipe) -> None:
    """Refuse a source whose samples cannot be divided into folds.

    Raises
    ------
    UsageError
        It has no ``data.split.fold``.
    """
    if not hasattr(getattr(recipe.data, "split", None), "fold"):
        raise UsageError(
            f"recipe {recipe.name} cannot be cross-validated: the source {recipe.data.source} divides its data itself",
            expected="tables, clips of speech, or CMU-MOSI (data.split.fold)",
            do="compare seeds instead (omib compare --seeds 5), and tune by validation samples, without folds",
        )


def folds_of_options(folds: int | None, repeats: int | None, seeds: int | None, within: str) -> Folds | None:
    """The folds that the options of ``omib compare`` and ``sweep`` ask for; None where they ask for none.

    Raises
    ------
    UsageError
        Options that contradict each other, or ask for too few.
    """
    if folds is None:
        if repeats is not None or within != "all":
            given = "--repeats is" if repeats is not None else "--within is"
            raise UsageError(f"{given} of a cross-validation", do="--folds K says how many folds; --seeds, runs")
        return None
    if seeds is not None:
        raise UsageError("--seeds and --folds: each repeat has a seed of its own", do="--repeats R, without --seeds")
    return Folds(folds, 1 if repeats is None else repeats, within)
