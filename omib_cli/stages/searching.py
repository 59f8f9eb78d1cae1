"""A search of settings as cells of a grid: which run comes next, and what the runs of a trial come to.

Any number of processes may work on one search. Each holds the lock of the trials that it works on; the lock of one
that was killed is free, and the next process continues that trial where its state was last saved.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from filelock import BaseFileLock

from omib_cli.artifacts.dataset import Dataset
from omib_cli.errors import RecipeError, UsageError
from omib_cli.evaluation.conventions import convention
from omib_cli.evaluation.tuning import AS_IT_IS, TrialRow, best_of
from omib_cli.recipe.load import load_recipe
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.common import FoldOptions, InnerFoldOptions
from omib_cli.recipe.space import overrides_of, own_values, space_of, whole_keys, with_own
from omib_cli.recipe.tasks import TASKS
from omib_cli.runtime.job import Job
from omib_cli.runtime.lock import claimed, exclusive
from omib_cli.runtime.progress import Progress
from omib_cli.stages import run, train
from omib_cli.stages.cells import Cell, Launch, Watch
from omib_cli.stages.folding import must_be_foldable
from omib_cli.stages.grid import cell_of
from omib_cli.stages.trials import JOURNAL, Ledger
from omib_cli.stages.variants import Variant

REPORTS = 20
"""How often, at most, a trial's epochs are compared with those of others."""
UNPRUNED = 4
"""The first of so many parts of a trial's epochs are not looked at: rates still rise, and weights are few steps old."""
METRICS = "model.metrics.jsonl"
WHOLE = Variant("")
"""Of a search that is by itself: nothing is changed, and its folder is the recipe's."""


@dataclass(frozen=True)
class SearchPlan:
    """What is searched.

    Attributes
    ----------
    reference, overrides, seed
        The recipe.
    trials
        How many.
    inner
        Number of folds of the samples outside the test split that judge, one after another; None for the recipe's
        validation split.
    variant
        What is changed in every trial, and the folder of the search within the recipe's.
    fold
        Which fold is held out, of a search within a cross-validation.
    """

    reference: str
    overrides: tuple[str, ...]
    seed: int
    trials: int
    inner: int | None = None
    variant: Variant = WHOLE
    fold: FoldOptions | None = None

    @property
    def folds(self) -> list[InnerFoldOptions | None]:
        """What judges a trial: the inner folds, or the validation split once."""
        if self.inner is None:
            return [None]
        return [InnerFoldOptions(number=number, folds=self.inner) for number in range(1, self.inner + 1)]

    def cells(
        self, name: str, tried: dict[str, Any], out: Path, seed: int | None = None, watch: Watch | None = None
    ) -> list[Cell]:
        """The runs of some values, one for each inner fold, in a folder of that name."""
        changed = Variant("/".join(filter(None, [self.variant.name, name])), {**self.variant.overrides, **tried})
        own = self.seed if seed is None else seed
        return [
            cell_of(self.reference, changed, own, out, self.overrides, fold=self.fold, inner=inner, watch=watch)
            for inner in self.folds
        ]


@dataclass
class _Trial:
    """One that this process works on."""

    number: int
    claim: BaseFileLock
    cells: list[Cell]
    waiting: list[Cell]
    working: int = 0
    scores: dict[Path, tuple[float, float]] = field(default_factory=dict)
    ending: tuple[str, str] | None = None


class Search:
    """The cells of a search, trial by trial (:class:`omib_cli.stages.grid.Supply`).

    Parameters
    ----------
    at_once
        Most trials that this process works on at a time; with one, what is found does not depend on chance.

    Raises
    ------
    UsageError
        The source divides its data itself, and inner folds are asked for.
    StaleError
        The folder is that of another search.
    """

    def __init__(self, plan: SearchPlan, launch: Launch, job: Job, at_once: int) -> None:
        self.plan, self._launch, self._job = plan, launch, replace(job, progress=Progress())
        first = plan.cells(trial_name(AS_IT_IS), {}, launch.out)[0]
        self.recipe: Recipe = first.recipe
        self.folder = first.folder.parents[1]
        self.metric: str = TASKS.implementation(self.recipe.task.kind).main_metric
        self._own = own_values(self.recipe, space := space_of(self.recipe))
        self._space = with_own(space, self._own)
        self._key = self._named()
        whole = whole_keys(self._space, self._own)
        self.ledger = Ledger(self.folder / JOURNAL, self._key, self.metric, self._space, whole, plan.seed, self._job)
        self._at_once = at_once
        self._open: dict[int, _Trial] = {}
        self._of: dict[Cell, _Trial] = {}
        self.total = plan.trials * len(plan.folds)
        self.done = len(self.ended_rows) * len(plan.folds)

    @property
    def ended_rows(self) -> list[TrialRow]:
        """The trials that have ended."""
        return [row for row in self.rows() if row.state != "at work"]

    @property
    def is_over(self) -> bool:
        """Whether all trials have ended."""
        return len(self.ended_rows) >= self.plan.trials

    def rows(self) -> list[TrialRow]:
        """All trials so far; the first with the recipe's own values."""
        rows = self.ledger.rows()
        return [replace(row, values=self._own) if row.number == AS_IT_IS else row for row in rows]

    def best(self) -> TrialRow | None:
        """The best trial so far."""
        return best_of(self.rows(), convention(self.metric).higher_is_better)

    def tried(self, row: TrialRow) -> dict[str, Any]:
        """What a trial changes in the recipe, by key of the recipe; nothing in the recipe as it is."""
        return {} if row.number == AS_IT_IS else overrides_of(self.recipe, row.values)

    def take(self) -> Cell | None:
        """The next fold of a trial that was begun, or the first of one that was not, or that a dead process began."""
        with exclusive(self.folder / ".search.lock", self._job):
            while True:
                if (trial := next((each for each in self._open.values() if each.waiting), None)) is not None:
                    trial.working += 1
                    cell = trial.waiting.pop(0)
                    self._of[cell] = trial
                    return cell
                if len(self._open) >= self._at_once or not self._begin():
                    return None

    def ended(self, cell: Cell) -> None:
        """Note what a cell came to, and what its trial came to where it was the last one."""
        trial = self._of.pop(cell)
        trial.working -= 1
        self._note(trial, cell)

    def _note(self, trial: _Trial, cell: Cell) -> None:
        record = cell.record
        if record.state != "done":
            trial.ending = ("pruned" if record.state == "pruned" else "failed", record.reason)
        elif (score := judged(cell, self.metric)) is None:
            trial.ending = ("failed", f"{convention(self.metric).label} is not defined on the validation samples")
        else:
            trial.scores[cell.folder] = score
        if trial.ending is not None:
            trial.waiting.clear()
        if not trial.waiting and not trial.working:
            self._end(trial)

    def _begin(self) -> bool:
        """Begin a trial, or continue one whose process is dead; whether there was one."""
        orphan = self._orphan()
        found = orphan or self._new()
        if found is None:
            return False
        number, claim = found
        watch = self._watch(number)
        tried = {} if number == AS_IT_IS else overrides_of(self.recipe, self.ledger.values_of(number))
        try:
            cells = self.plan.cells(trial_name(number), tried, self._launch.out, watch=watch)
        except RecipeError as error:  # values that the recipe takes one by one, and not together
            self.ledger.end(number, "failed", {"reason": "; ".join(error.problems)})
            claim.release()
            return True
        trial = self._open[number] = _Trial(number, claim, cells, list(cells))
        for cell in cells if orphan is not None else ():
            if cell in trial.waiting and (self._launch.is_done(cell) or cell.record.state in ("pruned", "failed")):
                trial.waiting.remove(cell)
                self._note(trial, cell)
        return True

    def _orphan(self) -> tuple[int, BaseFileLock] | None:
        for number in self.ledger.at_work():
            if number in self._open or (claim := self._claim(number)) is None:
                continue
            if not self.ledger.has_ended(number):
                return number, claim
            claim.release()
        return None

    def _new(self) -> tuple[int, BaseFileLock] | None:
        if self.ledger.count >= self.plan.trials:
            return None
        number = self.ledger.begin(self._own)
        claim = self._claim(number)
        assert claim is not None, "a trial that was begun under the search's lock is nobody else's"
        return number, claim

    def _claim(self, number: int) -> BaseFileLock | None:
        return claimed(self.folder / trial_name(number) / ".lock")

    def _watch(self, number: int) -> Watch | None:
        """Where a trial's epochs are compared; nowhere with inner folds, whose means are not known before the end."""
        if self.plan.inner is not None:
            return None
        epochs = self.recipe.main_phase.epochs
        every = max(1, math.ceil(epochs / REPORTS))
        return Watch(self.folder / JOURNAL, self._key, number, self.metric, every, max(1, epochs // UNPRUNED))

    def _end(self, trial: _Trial) -> None:
        del self._open[trial.number]
        known: dict[str, Any] = {"seconds": round(sum(cell.record.seconds for cell in trial.cells), 3)}
        if trial.ending is not None:
            state, known["reason"] = trial.ending
            self.ledger.end(trial.number, state, known)
        else:
            pairs = [trial.scores[cell.folder] for cell in trial.cells]
            known |= {"scores": [score for score, _ in pairs], "loss": fmean(loss for _, loss in pairs)}
            self.ledger.end(trial.number, "done", known, fmean(known["scores"]))
        for cell in trial.cells:
            forget_weights(cell.folder)
        trial.claim.release()

    def _named(self) -> str:
        """The study's name: what is searched, in a hash."""
        space = {key: options.model_dump(mode="json") for key, options in self._space.items()}
        read = self._launch.input_key(self.recipe)
        said = [self.recipe.hash(), space, self.plan.inner, read]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


class Searches:
    """Several searches side by side, each of which goes on one trial at a time."""

    def __init__(self, searches: Sequence[Search]) -> None:
        self._searches = searches
        self._of: dict[Cell, Search] = {}
        self.total, self.done = sum(each.total for each in searches), sum(each.done for each in searches)

    def take(self) -> Cell | None:
        """The next cell of the first search that has one."""
        for search in self._searches:
            if (cell := search.take()) is not None:
                self._of[cell] = search
                return cell
        return None

    def ended(self, cell: Cell) -> None:
        """Tell the search that it is of."""
        self._of.pop(cell).ended(cell)


def trial_name(number: int) -> str:
    """The folder of a trial."""
    return f"trial-{number:03d}"


def judged(cell: Cell, metric: str) -> tuple[float, float] | None:
    """A metric and the task's loss on the validation samples, of the epoch that a run kept; None where undefined."""
    lines = (cell.folder / METRICS).read_text(encoding="utf-8").splitlines()
    kept: dict[str, Any] = next((row for row in map(json.loads, reversed(lines)) if row.get("kept")), {})
    if (value := kept.get(f"validation/{metric}")) is None:
        return None
    return float(value), float(kept["validation/loss"])


def forget_weights(folder: Path) -> None:
    """Remove the weights of a run that has been judged: what is to be kept is trained again from its recipe."""
    for path in folder.glob("*.safetensors"):
        path.unlink()
    for path in folder.glob("*.safetensors.partial"):
        shutil.rmtree(path)


def must_be_judged(plan: SearchPlan, launch: Launch, job: Job) -> tuple[int, int]:
    """Make the first dataset, and refuse before any trial what has nothing to judge by; samples that learn and judge.

    Raises
    ------
    UsageError
        There are no validation samples, or no folds to be had.
    OmibError
        As preparing the dataset does.
    """
    if plan.inner is not None:
        must_be_foldable(load_recipe(plan.reference, plan.overrides, plan.seed))
    cell = plan.cells(trial_name(AS_IT_IS), {}, launch.out)[0]
    own = replace(job, threads=launch.threads, memory=launch.memory)
    made = run.make_dataset(cell.recipe, launch.input_path, cell.folder, own, launch.shared)
    with Dataset(made.out) as data:
        train.must_start(cell.recipe, data)
        counts = len(data.rows("train")), len(data.rows("validation"))
    if not counts[1]:
        raise UsageError(
            f"recipe {cell.recipe.name} has no validation samples to judge trials by; the test split chooses nothing",
            do="--folds 3 judges by inner folds; or make a split: --set data.split.validation=0.2 "
            "(of sources that divide their data themselves data.validation)",
        )
    return counts
