"""Variants of a recipe: other fusion methods, ablations, and values of a key, each under a name of its own."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omib_cli.errors import UsageError
from omib_cli.recipe.fusion import FUSIONS
from omib_cli.recipe.problems import did_you_mean
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.yaml_reader import read_yaml

AS_IS = "recipe"
"""The variant of a sweep that is the recipe without any change."""

ABLATIONS = ("without-warmup", "without-attention", "without-omf", "without-r")
"""Of OMIB (choice C7)."""


@dataclass(frozen=True)
class Variant:
    """A recipe with some keys replaced, under a name that is also that of a folder; ``at`` is its place in a sweep."""

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None


def ablation(name: str, recipe: Recipe) -> Variant:
    """A recipe of OMIB without one of its components; without warm-up the epochs are as many as before."""
    changes: dict[str, dict[str, Any]] = {
        "without-warmup": {"warmup.epochs": 0, "train.epochs": recipe.warmup.epochs + recipe.train.epochs},
        "without-attention": {"fusion.attention": "none"},
        "without-omf": {"fusion.main_training": "without-omf"},
        "without-r": {"fusion.relative_weight": "one"},
    }
    return Variant(name, changes[name])


def method(name: str, recipe: Recipe) -> Variant:
    """A recipe with another fusion method in its default settings; with its own one, the recipe as it is."""
    return Variant(name) if name == recipe.fusion.method else Variant(name, {"fusion": {"method": name}})


def known(names: Iterable[str], choices: Sequence[str], what: str) -> list[str]:
    """The names, ``all`` spelled out, none twice.

    Raises
    ------
    UsageError
        One that is no choice.
    """
    found: dict[str, None] = {}
    for name in names:
        if name != "all" and name not in choices:
            raise UsageError(f"no such {what}: {name}{did_you_mean(name, choices)}", expected=", ".join(choices))
        found |= dict.fromkeys(choices if name == "all" else [name])
    return list(found)


def methods_and_ablations(recipe: Recipe, methods: Sequence[str], ablations: Sequence[str]) -> list[Variant]:
    """The variants of a comparison.

    Raises
    ------
    UsageError
        An unknown name, or ablations of a recipe of another method than OMIB.
    """
    chosen = [method(name, recipe) for name in known(methods, list(FUSIONS), "fusion method")]
    names = known(ablations, ABLATIONS, "ablation")
    if names and recipe.fusion.method != "omib":
        raise UsageError(
            f"recipe {recipe.name} has no ablations", got=f"fusion.method {recipe.fusion.method}", expected="omib"
        )
    return chosen + [ablation(name, recipe) for name in names]


def swept(beta: str | None, vary: str | None) -> list[Variant]:
    """The recipe as it is, and the variants of a sweep: ``LOW:HIGH:N`` for beta, or ``KEY=VALUES``.

    Raises
    ------
    UsageError
        Neither or both, or values that cannot be read.
    """
    if (beta is None) == (vary is None):
        raise UsageError("what is to be swept?", expected="--beta LOW:HIGH:N, or --vary KEY=VALUES")
    if beta is not None:
        return _variants("beta", geometric(beta), lambda value: {"beta": {"policy": "value", "value": value}})
    key, equals, text = (part.strip() for part in (vary or "").partition("="))
    if not equals or not key or not text:
        raise UsageError(f"--vary {vary} cannot be read", expected="KEY=LOW:HIGH:N or KEY=A,B,C")
    is_range = text.count(":") == 2 and not set(text) & set(" ,[]{}\"'")
    return _variants(key, geometric(text) if is_range else _listed(text), lambda value: {key: value})


def said_of_choosing(within: str | None) -> str:
    """What a value may be chosen by, of those in a table of a sweep.

    Parameters
    ----------
    within
        What folds divide; None where there are none.
    """
    if within is None:
        return (
            "Choose a value by its validation metric alone, where there is one: the best test score of several is best "
            "in part by luck, and no longer says what the value is worth. Without validation samples nothing here may "
            "be chosen by; `omib tune`, or --folds with --within train, does without."
        )
    if within == "train":
        return (
            "A value may be chosen by this table: the given test split took no part in it, and says what it is worth."
        )
    return (
        "All samples are tested here: what is chosen by this table is to be tested on samples that are not in it. "
        "--within train leaves the given test split out; `omib cross-validate --tuned` chooses inside each fold."
    )


def _listed(text: str) -> list[Any]:
    """``A,B,C`` as YAML has it, so that A may be a list, a section, or text in quotes.

    Raises
    ------
    UsageError
        It cannot be read.
    """
    document = read_yaml(f"[{text}]")
    if document.problems or not isinstance(document.values, list) or not document.values:
        problem = document.problems[0][1] if document.problems else None
        raise UsageError(f"the values {text} cannot be read", got=problem, expected="A,B,C, each as in a recipe")
    return document.values


def _variants(key: str, values: Iterable[Any], overrides: Callable[[Any], Mapping[str, Any]]) -> list[Variant]:
    """The recipe as it is and one variant for each value, called after the key and the value.

    Raises
    ------
    UsageError
        A value that is there twice.
    """
    found = {}
    for value in map(_whole, values):
        text = json.dumps(value, sort_keys=True)
        if text in found:
            raise UsageError(f"{key} = {text} is there twice", do="give each value once; a range, fewer of them")
        found[text] = Variant(f"{key}-{_in_a_name(value, text)}", overrides(value), _number(value))
    return [Variant(AS_IS), *found.values()]


def _whole(value: Any) -> Any:
    """Whole numbers as such however they are written, as recipes take them: 1.0 is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _in_a_name(value: Any, text: str) -> str:
    """A value, and its JSON, as part of a folder's name: the same whatever other values there are, and no other's.

    Plain words and numbers stand for themselves; of anything else the name has what can be read, and a hash.
    """
    word = value if isinstance(value, str) else text
    if re.fullmatch(r"[a-z0-9._+-]{1,40}", word) and read_yaml(word).values == value:
        return word
    readable = re.sub(r"[^A-Za-z0-9._+-]+", "-", word).strip("-.")[:24]
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{readable}-{digest}" if readable else digest


def geometric(text: str) -> list[float]:
    """``LOW:HIGH:N`` as N values in equal ratios, to six digits.

    Raises
    ------
    UsageError
        It is not of that form.
    """
    try:
        low, high, count = text.split(":")
        first, last, number = float(low), float(high), int(count)
    except ValueError:
        first, last, number = 0.0, 0.0, 0
    if not 0.0 < first < last or number < 2:
        raise UsageError(
            f"{text} is no range", expected="LOW:HIGH:N with 0 < LOW < HIGH and N of 2 or more: 1e-6:10:13"
        )
    return [float(f"{first * (last / first) ** (place / (number - 1)):.6g}") for place in range(number)]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
