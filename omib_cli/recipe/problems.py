"""What pydantic found wrong with a recipe, said in the recipe's own words: which key, got, expected, did you mean."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from omib_cli.recipe.yaml_reader import KeyPath, dotted

_KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text (in quotes if it looks like a number)",
    "list_type": "a list",
    "dict_type": "a section with keys of its own",
    "model_type": "a section with keys of its own",
    "model_attributes_type": "a section with keys of its own",
    "finite_number": "a finite number",
}
_RANGES = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
    "string_pattern_mismatch": ("text of the form", "pattern"),
}


@dataclass(frozen=True)
class Found:
    """One problem: the key that it is about and what to say."""

    path: KeyPath
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}"


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Found]:
    """Every problem once; the branches of a value that may be of several types become one expectation."""
    grouped: dict[KeyPath, list[tuple[ErrorDetails, _Place]]] = {}
    for details in error.errors(include_url=False):
        place = _locate(model, details)
        grouped.setdefault(place.path, []).append((details, place))
    inner = {
        path[:depth] for path in grouped for depth in range(len(path))
    }  # of several branches, the one that fits best
    return [
        Found(path, _message([details for details, _ in same], same[0][1]))
        for path, same in grouped.items()
        if path not in inner
    ]


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """``; did you mean 'epochs'?`` where a known word is close, or nothing."""
    close = get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object) -> str:
    """A value as a message shows it: YAML's own words, cut where it is long."""
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_of(words: Sequence[str]) -> str:
    """``a, b or c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


@dataclass(frozen=True)
class _Place:
    """Where an error is: its path without pydantic's own segments, and the keys that its section knows."""

    path: KeyPath
    siblings: tuple[str, ...]


def _locate(model: type[BaseModel], details: ErrorDetails) -> _Place:
    """Follow an error's location down the schema; names of union branches are no part of the path."""
    kind: Any = model
    siblings: tuple[str, ...] = ()
    path: list[str | int] = []
    for segment in details["loc"]:
        if segment == "[key]":
            continue
        branches = _branches(kind)
        if len(branches) > 1:  # the segment says which branch
            kind = _chosen(branches, str(segment))
            continue
        kind = branches[0]
        siblings = tuple(kind.model_fields) if _is_section(kind) else ()
        path.append(segment)
        kind = _below(kind, segment)
    if details["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path.append(details["ctx"]["discriminator"].strip("'"))
    return _Place(tuple(path), siblings)


def _below(kind: Any, segment: str | int) -> Any:
    """The type of what a section, a mapping or a list holds under a key."""
    if _is_section(kind):
        field = kind.model_fields.get(segment)
        return None if field is None else field.annotation
    arguments = get_args(kind)
    return arguments[-1] if get_origin(kind) in (dict, list) and arguments else None


def _branches(kind: Any) -> list[Any]:
    """The types of a union that pydantic names in a location: all but None; anything else is its own only branch."""
    if get_origin(kind) is Annotated:
        return _branches(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        found = [branch for part in get_args(kind) if part is not type(None) for branch in _branches(part)]
        return found or [None]
    return [kind]


def _chosen(branches: list[Any], label: str) -> Any:
    """The branch that a location's segment names: a section by its tag, others by the kind of type."""
    for branch in branches:
        if _is_section(branch) and (label == branch.__name__ or label in _tags(branch)):
            return branch
        if get_origin(branch) is not None and label.startswith(get_origin(branch).__name__):
            return branch
    return None


def _tags(section: type[BaseModel]) -> set[str]:
    """The names under which a section may stand in a union: the only values of its literal fields."""

    def only(field: FieldInfo) -> list[str]:
        values = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        return [str(values[0])] if len(values) == 1 else []

    return {name for field in section.model_fields.values() for name in only(field)}


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _message(errors: list[ErrorDetails], place: _Place) -> str:
    first = errors[0]
    kind, context = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        guess = did_you_mean(place.path[-1], place.siblings)
        return f"unknown key{guess or '; known here: ' + ', '.join(place.siblings)}"
    if kind == "missing":
        return "this key is missing"
    if kind == "union_tag_not_found":
        return "this key is missing"
    if kind == "value_error":
        return str(context.get("error", first["msg"]))
    if kind == "union_tag_invalid":
        names = [name.strip(" '") for name in context["expected_tags"].split(",")]
        return _expected(context["tag"], one_of(names), names)
    if kind == "literal_error" and len(errors) == 1:
        names = [name for part in context["expected"].split(" or ") for name in part.replace("'", "").split(", ")]
        return _expected(first["input"], one_of(names), names)
    return _expected(first["input"], one_of(list(dict.fromkeys(map(_expectation, errors)))))


def _expected(got: object, expected: str, names: Sequence[str] = ()) -> str:
    return f"got {shown(got)}, expected {expected}{did_you_mean(got, names) if isinstance(got, str) else ''}"


def _expectation(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _RANGES:
        words, key = _RANGES[kind]
        limit = context[key]
        return f"{words} {limit:g}" if isinstance(limit, float) else f"{words} {limit}"
    if kind == "literal_error":
        return str(context["expected"]).replace("'", "")
    if kind == "too_short":
        return f"at least {context['min_length']} in it"
    return error["msg"][:1].lower() + error["msg"][1:]
