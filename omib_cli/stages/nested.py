"""Settings chosen inside each fold of a cross-validation: a search on what it leaves, then a run with the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from omib_cli.errors import UsageError
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.common import FoldOptions, SplitOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.progress import Progress
from omib_cli.stages.cells import Cell, Launch
from omib_cli.stages.grid import cell_of, run_name, run_supply
from omib_cli.stages.searching import Search, Searches, SearchPlan, must_be_judged
from omib_cli.stages.variants import Variant

INNER = 3
"""Inner folds, where the recipe asks for no validation samples."""


@dataclass(frozen=True)
class Tuned:
    """What is to be chosen inside each fold: the best of so many trials, by inner folds or by validation samples."""

    trials: int
    inner: int | None

    @classmethod
    def of(cls, recipe: Recipe, trials: int, inner: int | None, job: Job) -> Tuned:
        """As the options say; without inner folds those that a recipe without validation samples needs.

        Raises
        ------
        UsageError
            Nothing to choose among, or no inner folds to speak of.
        """
        if trials < 2:
            raise UsageError(
                f"{trials} trials choose nothing", expected="--tuned 2 or more: the first is the recipe as it is"
            )
        split = getattr(recipe.data, "split", None)
        if inner is None and isinstance(split, SplitOptions) and not split.validation:
            job.progress.note(f"the recipe asks for no validation samples: trials are judged by {INNER} inner folds")
            inner = INNER
        return cls(trials, inner)


def tuned_name(variant: Variant) -> str:
    """What a variant is called whose settings were chosen inside each fold."""
    return f"{variant.name}-tuned"


def tuned_cells(
    reference: str,
    variants: Sequence[Variant],
    folds: Sequence[tuple[int, FoldOptions]],
    overrides: Sequence[str],
    tuned: Tuned,
    launch: Launch,
    job: Job,
    *,
    jobs: int,
    collect_only: bool = False,
) -> list[Cell]:
    """Search inside every fold, ``jobs`` folds at a time, and give the cells with what was chosen.

    Each of ``folds`` has the seed of its repeat beside it. A search sees the samples of the other folds only. With
    ``collect_only`` nothing is searched, and folds whose search is not over have no cell.

    Raises
    ------
    UsageError, DataError
        There is nothing to judge trials by, or the data cannot be divided.
    Interrupted
        A stop was asked for.
    """
    plans = [
        SearchPlan(
            reference,
            tuple(overrides),
            seed,
            tuned.trials,
            tuned.inner,
            Variant(f"{tuned_name(variant)}/search-{run_name(seed, fold)}", variant.overrides),
            fold,
        )
        for seed, fold in folds
        for variant in variants
    ]
    within = replace(launch, until="model", apart=False)
    if not collect_only:
        must_be_judged(plans[0], within, replace(job, progress=Progress()))  # the folds themselves are told of it
    searches = [Search(plan, within, job, at_once=1) for plan in plans]
    if not collect_only:
        run_supply(Searches(searches), within, jobs, job)
    names = [tuned_name(variant) for _ in folds for variant in variants]
    found = [_chosen(search, name, launch) for search, name in zip(searches, names, strict=True) if search.is_over]
    return [cell for cell in found if cell is not None]


def _chosen(search: Search, name: str, launch: Launch) -> Cell | None:
    """The run of what a search has chosen; None where none of its trials could be run."""
    plan, best = search.plan, search.best()
    if best is None:
        return None
    variant = Variant(name, {**plan.variant.overrides, **search.tried(best)})
    cell = cell_of(plan.reference, variant, plan.seed, launch.out, plan.overrides, fold=plan.fold)
    return replace(cell, inner_score=best.score)
