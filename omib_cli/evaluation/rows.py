"""Which runs may be averaged: those of one recipe, method and data, judged on the same split, seed by seed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omib_cli.evaluation.runs import Run

MOST_NAMED = 3
"""Recipe keys that a row's name holds at most."""
Key = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class RunRow:
    """Runs that differ in nothing but their seed, by their place among all runs, under a name that no other row has."""

    name: str
    recipe: str
    method: str
    recipe_hash: str
    data: str
    split: str
    places: list[int]

    def plain(self) -> dict[str, Any]:
        """As JSON has it, without the runs."""
        kept = ("name", "recipe", "method", "recipe_hash", "data", "split")
        return {key: getattr(self, key) for key in kept}


def rows_of(runs: Sequence[Run]) -> list[RunRow]:
    """The rows of a table of runs, in the order in which they come."""
    keys = [key_of(run) for run in runs]
    first = dict(reversed(list(zip(keys, runs, strict=True))))
    names = _names({key: first[key] for key in dict.fromkeys(keys)})
    return [RunRow(name, *key, [i for i, other in enumerate(keys) if other == key]) for key, name in names.items()]


def key_of(run: Run) -> Key:
    """Recipe, method, hash of the recipe without its seed, data and split: what runs of a row have in common."""
    return run.recipe.name, run.recipe.fusion.method, _hash(run), run.data, run.headline


def _hash(run: Run) -> str:
    """Of all that decides the predictions but the seed."""
    return hashlib.sha256(json.dumps(_settings(run)).encode()).hexdigest()


def _settings(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.recipe.resolved().items() if key not in ("name", "seed", "evaluate")}


def _names(runs: Mapping[Key, Run]) -> dict[Key, str]:
    """Recipe and method, and where these are not enough what else tells a row from its like."""
    names = {}
    for key, run in runs.items():
        like = [other for other in runs if other[:2] == key[:2] and other != key]
        parts = [key[0], key[1]]
        if any(other[2] != key[2] for other in like):
            own, others = _flat(_settings(run)), [_flat(_settings(runs[other])) for other in like]
            differing = [name for name, value in own.items() if any(other.get(name) != value for other in others)]
            parts += [f"{name} {own[name]}" for name in differing[:MOST_NAMED]]
        parts += [f"data {key[3][:8]}"] if any(other[3] != key[3] for other in like) else []
        parts += [f"{key[4]} split"] if any(other[4] != key[4] for other in like) else []
        names[key] = ", ".join(parts)
    repeated = Counter(names.values())
    return {key: f"{name}, recipe {key[2][:8]}" if repeated[name] > 1 else name for key, name in names.items()}


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Every value under its dotted key."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{path}{name}.") if isinstance(value, Mapping) else {f"{path}{name}": value}
    return found
