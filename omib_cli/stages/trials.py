"""The trials of a search, kept by Optuna in a journal: one file, to which any number of processes add lines.

What a trial's values are depends on the seed, its number and the trials that have ended, and on nothing else: a search
that was killed and runs again, one trial at a time, finds what it would have found.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from omib_cli.errors import Pruned, StaleError, UsageError
from omib_cli.evaluation.conventions import convention, shown
from omib_cli.evaluation.tuning import TrialRow
from omib_cli.recipe.tuning import TuneOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.lock import exclusive
from omib_cli.runtime.progress import Progress
from omib_cli.runtime.seeds import derive_seed
from omib_cli.stages.cells import Watch

try:
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    raise UsageError("a search needs optuna, which is not installed", do="pip install 'omib[tune]'") from error

Direction = Literal["maximize", "minimize"]
JOURNAL = "study.journal"
RANDOM_TRIALS = 10
"""Trials that are drawn at random before TPE has enough to learn from."""
BEFORE_PRUNING = 5
"""Complete trials before any is pruned."""
DIGITS = 4
"""Significant digits of a value that is tried: what one would write into a recipe."""


class Ledger:
    """A study in its journal.

    Parameters
    ----------
    journal
        The file; made where there is none.
    study
        Its name, which says what is searched: one journal has one study.
    metric
        What trials are judged by.
    space
        The values that are tried, by key; integers where ``whole`` says so.

    Raises
    ------
    StaleError
        The journal is that of another search.
    """

    def __init__(
        self,
        journal: Path,
        study: str,
        metric: str,
        space: Mapping[str, TuneOptions],
        whole: Iterable[str],
        seed: int,
        job: Job,
    ) -> None:
        self._space, self._whole, self._seed = dict(space), set(whole), seed
        self._distributions = {key: _distribution(options, key in self._whole) for key, options in space.items()}
        self._direction: Direction = "maximize" if convention(metric).higher_is_better else "minimize"
        self._storage = _open(journal, job)
        if any(name != study for name in optuna.get_all_study_names(self._storage)):
            raise StaleError(
                "the folder has the trials of another search: of another recipe, space, seed, input or number of folds",
                where=journal,
                do="give another --out, or the recipe and options that those were made with; or remove the folder",
            )
        self._study = optuna.create_study(
            storage=self._storage, study_name=study, direction=self._direction, load_if_exists=True
        )

    @property
    def count(self) -> int:
        """How many trials there are, at work ones included."""
        return len(self._study.get_trials(deepcopy=False))

    def at_work(self) -> list[int]:
        """Numbers of the trials that have begun and not ended, here or in another process, which may be dead."""
        return [each.number for each in self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING])]

    def has_ended(self, number: int) -> bool:
        """Whether a trial is done, pruned or failed."""
        return self._study.get_trials(deepcopy=False)[number].state.is_finished()

    def begin(self, own: Mapping[str, Any]) -> int:
        """Add a trial, in one line of the journal; its number.

        Parameters
        ----------
        own
            The recipe's values by key: those of the first trial. The sampler sees them at the nearest place that the
            space has.
        """
        number = self.count
        params = self._nearest(own) if number == 0 else self._proposed(number)
        begun = optuna.trial.create_trial(
            state=TrialState.RUNNING, params=params, distributions=self._distributions, user_attrs={}
        )
        self._study.add_trial(begun)
        return number

    def values_of(self, number: int) -> dict[str, Any]:
        """The values of a trial, by key of the space."""
        params = self._study.get_trials(deepcopy=False)[number].params
        return {key: _read(self._space[key], value) for key, value in params.items()}

    def end(self, number: int, state: str, facts: Mapping[str, Any], value: float | None = None) -> None:
        """Note how a trial ended: ``done`` with a value, ``pruned`` or ``failed``, and what is known of it."""
        states = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        identity = self._identity(number)
        for name, fact in facts.items():
            self._storage.set_trial_user_attr(identity, name, fact)
        self._storage.set_trial_state_values(identity, states[state], None if value is None else [value])

    def rows(self) -> list[TrialRow]:
        """All trials, as a table has them."""
        return [_row(each, self.values_of(each.number)) for each in self._study.get_trials(deepcopy=False)]

    def importance(self) -> dict[str, float]:
        """How much of the metric's variation each key explains (PED-ANOVA), if there are trials enough to say."""
        done = self._study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if len(done) < RANDOM_TRIALS or len({each.value for each in done}) < 2:
            return {}
        with _quiet():
            found = optuna.importance.get_param_importances(self._study)
        return {key: float(share) for key, share in found.items()} if all(map(math.isfinite, found.values())) else {}

    def _proposed(self, number: int) -> dict[str, Any]:
        """What TPE proposes, with a seed of this trial's own, to four digits."""
        with _quiet():
            sampler = optuna.samplers.TPESampler(
                seed=derive_seed(self._seed, "trial", number) % 2**32,
                n_startup_trials=RANDOM_TRIALS,
                multivariate=True,
                constant_liar=True,
            )
            copy = optuna.create_study(direction=self._direction, sampler=sampler)
            copy.add_trials(self._study.get_trials(deepcopy=False))
            params = copy.ask(self._distributions).params
        return {key: _rounded(self._space[key], value) for key, value in params.items()}

    def _nearest(self, own: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, options in self._space.items():
            if options.choices is not None:
                found[key] = _written(own[key])
                continue
            low, high = options.bounds
            value = own[key] if isinstance(own[key], int | float) else low  # nothing, where the recipe says nothing
            nearest = min(max(value, low), high)
            found[key] = int(nearest) if key in self._whole else float(nearest)
        return found

    def _identity(self, number: int) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number))


class Reporter:
    """Told of each epoch of a trial, in the process that trains it: ends it where it promises little.

    Raises
    ------
    Pruned
        When it is called with an epoch up to which the best value was below the median of the trials before.
    """

    def __init__(self, watch: Watch, job: Job) -> None:
        self._watch = watch
        self._storage = _open(watch.journal, job)
        self._study = optuna.load_study(study_name=watch.study, storage=self._storage)
        self._pruner = optuna.pruners.MedianPruner(n_startup_trials=BEFORE_PRUNING, n_warmup_steps=watch.first)
        self._identity = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, watch.number)

    def __call__(self, row: Mapping[str, Any]) -> None:
        """A row of the log of metrics."""
        epoch, value = int(row["epoch"]), row.get(f"validation/{self._watch.metric}")
        if row["phase"] != "train" or value is None or epoch % self._watch.every:
            return
        if epoch not in self._storage.get_trial(self._identity).intermediate_values:  # it may have been killed since
            self._storage.set_trial_intermediate_value(self._identity, epoch, float(value))
        if self._watch.number and self._pruner.prune(self._study, self._storage.get_trial(self._identity)):
            label = convention(self._watch.metric).label
            raise Pruned(f"pruned after epoch {epoch}: {label} {shown(value)}, worse than half of the trials before")


def _open(journal: Path, job: Job) -> JournalStorage:
    """The storage in a file, whose lock ends with its process; Optuna's own stays behind a process that is killed."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal.parent.mkdir(parents=True, exist_ok=True)
    lock = _Lock(journal.with_name(f".{journal.name}.lock"), job)
    lock.acquire()
    try:
        _mend(journal)
    finally:
        lock.release()
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))  # type: ignore[arg-type]


def _mend(journal: Path) -> None:
    """Cut off a line that a process could not write to its end: the next would be added to it."""
    if not journal.exists():
        return
    with journal.open("r+b") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


class _Lock:
    """A lock as Optuna asks for it."""

    def __init__(self, path: Path, job: Job) -> None:
        self._path, self._job, self._held = path, replace(job, progress=Progress()), ExitStack()

    def acquire(self) -> bool:
        """Wait for it."""
        self._held.enter_context(exclusive(self._path, self._job))
        return True

    def release(self) -> None:
        """Give it back."""
        self._held.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without remarks on what of Optuna is new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _distribution(options: TuneOptions, whole: bool) -> optuna.distributions.BaseDistribution:
    if options.choices is not None:
        return optuna.distributions.CategoricalDistribution([_written(choice) for choice in options.choices])
    low, high = options.bounds
    if whole:
        return optuna.distributions.IntDistribution(int(low), int(high), log=options.log)
    return optuna.distributions.FloatDistribution(low, high, log=options.log)


def _written(choice: Any) -> str:
    """A choice of any kind as text, which is what the journal takes."""
    return json.dumps(choice, sort_keys=True)


def _read(options: TuneOptions, value: Any) -> Any:
    return value if options.choices is None else json.loads(value)


def _rounded(options: TuneOptions, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    low, high = options.bounds
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def _row(trial: FrozenTrial, values: dict[str, Any]) -> TrialRow:
    known = trial.user_attrs
    states = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    steps: Sequence[int] = sorted(trial.intermediate_values)
    return TrialRow(
        number=trial.number,
        state=states.get(trial.state, "at work"),
        values=values,
        score=None if trial.value is None else float(trial.value),
        scores=list(known.get("scores", [])),
        loss=float(known.get("loss", math.nan)),
        seconds=float(known.get("seconds", 0.0)),
        reason=str(known.get("reason", "")),
        last=float(trial.intermediate_values[steps[-1]]) if steps else None,
    )
