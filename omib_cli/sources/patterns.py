"""Columns that a recipe names, by name or by shell pattern; what names nothing is refused, with what is near to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import translate

from omib_cli.errors import DataError, listed

NEAR, CUTOFF = 3, 0.5
"""How many near names a message shows, and how near they must be (difflib's ratio)."""


def as_patterns(said: str | Sequence[str]) -> list[str]:
    """One pattern or several, as a list."""
    return [said] if isinstance(said, str) else list(said)


def places_like(patterns: Sequence[str], names: Sequence[str], where: str, key: str, *, all_there: bool) -> list[int]:
    """Positions of the names that one of the patterns is like, in the order of the names.

    A pattern that is a name is that name and nothing else: ``x[1]`` does not mean ``x1`` where there is an ``x[1]``.

    Parameters
    ----------
    key
        Where the recipe says the patterns, for the message: ``columns``.
    all_there
        Whether each pattern must be like some name.

    Raises
    ------
    DataError
        Naming the first pattern that no name is like, with names near to it.
    """
    known = set(names)
    exact = known.intersection(patterns)
    found = {place for place, name in enumerate(names) if name in exact}
    for pattern in patterns:
        if pattern in exact:
            continue
        like = re.compile(translate(pattern)).match
        own = [place for place, name in enumerate(names) if like(name)]
        if all_there and not own:
            raise _nothing_like(pattern, names, where, key)
        found.update(own)
    return sorted(found)


def _nothing_like(pattern: str, names: Sequence[str], where: str, key: str) -> DataError:
    spoken = {name.casefold(): name for name in names}
    near = get_close_matches(pattern.strip("*?").casefold(), list(spoken), n=NEAR, cutoff=CUTOFF)
    return DataError(
        f"no column like {pattern!r}",
        where=f"{where}, `{key}`",
        got=f"there are: {listed(names)}" if names else "there is none",
        do=f"did you mean {' or '.join(repr(spoken[name]) for name in near)}?" if near else None,
    )
