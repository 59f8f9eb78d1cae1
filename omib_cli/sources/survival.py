"""Labels of survival: a time and whether the event took place, as one number with a sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import exact_numbers, is_missing
from omib_cli.sources.labels import value_labels
from omib_cli.sources.rows import must_be_there
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

YES, NO = ("true",), ("false",)


def survival_labels(
    times: Sequence[str],
    events: Sequence[str],
    of: Sequence[str],
    names: Sequence[str],
    where: tuple[str, str],
    warnings: list[str],
) -> NDArray[np.float64]:
    """Signed times (N,): positive where the event took place, negative where a sample was only followed for so long.

    Parameters
    ----------
    times, events
        (N,) as they are written.
    of
        The values that mean the event; empty where they are booleans, or 0 and 1.
    names
        (N,) ids of the samples.
    where
        The columns of times and of events, in words.
    warnings
        Told what counts as censored, where that is more than one value.

    Raises
    ------
    DataError
        Times of zero or below or that are no numbers, events that are missing or not understood.
    """
    import numpy as np

    must_be_there(events, names, "samples without an event, or without a word that there was none", where[1])
    found = value_labels(times, names, where[0])
    early = [f"{name} ({time:g})" for name, time in zip(names, found.tolist(), strict=True) if time <= 0.0]
    if early:
        raise DataError(
            "times of zero or below",
            where=where[0],
            got=f"{listed(early)}; {counted(len(early), 'sample')} of {len(found)}",
            expected="how long each sample was followed, more than 0",
            do="correct them, or leave these samples out: their cells empty",
        )
    return np.where(_took_place(events, of, where[1], warnings), found, -found)


def _took_place(events: Sequence[str], of: Sequence[str], where: str, warnings: list[str]) -> NDArray[np.bool_]:
    """Whether each event (N,) took place."""
    import numpy as np

    each = list(dict.fromkeys(events))
    if not of:
        meaning = {value: meant(value) for value in each}
        unknown = [value for value, said in meaning.items() if said is None]
        if unknown:
            raise DataError(
                "events that are neither booleans nor 0 and 1",
                where=where,
                got=listed(map(repr, unknown)),
                do=f"say which mean the event: `data.labels.event: {{column: NAME, of: {unknown[0]}}}`",
            )
        return np.array([meaning[value] for value in events], dtype=bool)
    absent = [value for value in of if value not in each]
    if absent:
        raise DataError(
            "a value of the event that no sample has",
            where=where,
            got=listed(map(repr, absent)),
            expected=f"one of {listed(map(repr, each))}",
            do="correct `data.labels.event.of`",
        )
    others = [value for value in each if value not in of]
    if len(others) > 1:
        warnings.append(f"{where}: {listed(map(repr, others))} count as censored")
    return np.array([value in of for value in events], dtype=bool)


def meant(value: str) -> bool | None:
    """Whether a value says that the event took place, of booleans, 0 and 1; None of any other."""
    if value.casefold() in (*YES, *NO):
        return value.casefold() in YES
    number = exact_numbers([value])
    return None if number is None or number[0] not in (0, 1) else bool(number[0])


def known_survival(
    times: Sequence[str],
    events: Sequence[str],
    of: Sequence[str],
    names: Sequence[str],
    where: tuple[str, str],
    warnings: list[str],
) -> NDArray[np.float64]:
    """Signed times (N,) of new samples, NaN where time or event is unknown; arguments as of :func:`survival_labels`."""
    import numpy as np

    found = np.full(len(times), np.nan)
    there = [row for row, time in enumerate(times) if time and not is_missing(events[row])]
    lacking = sum(bool(time) for time in times) - len(there)
    if lacking:
        warnings.append(f"{where[1]}: {counted(lacking, 'sample')} with a time and no event: unknown")
    if there:
        chosen = [[values[row] for row in there] for values in (times, events, names)]
        said = [value for value in of if value in chosen[1]]
        if of and not said:  # all of these samples are censored
            found[there] = -np.abs(survival_labels(chosen[0], ["0"] * len(there), (), chosen[2], where, warnings))
        else:
            found[there] = survival_labels(chosen[0], chosen[1], said, chosen[2], where, warnings)
    return found


def must_have_events(labels: NDArray[np.float64], split: NDArray[np.uint8], where: str) -> None:
    """Refuse splits in which every sample is censored.

    Parameters
    ----------
    labels
        (N,) signed times.
    split
        (N,) indices into ``format.SPLITS``.
    """
    for code, name in enumerate(fmt.SPLITS):
        own = labels[split == code]
        if len(own) and not (own > 0).any():
            raise DataError(
                f"no event in the {name} split: every sample is censored",
                where=where,
                got=f"{counted(len(own), 'sample')}, {int((labels > 0).sum())} events in all of {len(labels)}",
                do="look at `data.labels.event`; `data.split.by: stratified` spreads events over the splits",
            )


EVENT_STRATA = ("censored", "event")
"""What :func:`event_strata` counts."""


def event_strata(labels: NDArray[np.float64]) -> NDArray[np.int64]:
    """What a split keeps in proportion: (N,) 1 for an event, 0 for a censored sample."""
    import numpy as np

    return (labels > 0).astype(np.int64)
