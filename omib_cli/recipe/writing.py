"""Recipes as text: YAML as the bundled recipes are written, with a comment behind or above a key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omib_cli.recipe.yaml_reader import read_yaml

Comments = Mapping[str, str]
"""What is said of a key, by its dotted path."""

WIDTH = 110
"""Longest line of a section that stands in one line, and of a comment."""
_PLAIN = re.compile(r"[A-Za-z_./][\w ./*+-]*")
_SPACED = ("data", "modalities", "warmup", "train")
"""Sections that stand in several lines whatever their length."""


def recipe_text(values: Mapping[str, Any], comments: Comments | None = None) -> str:
    """A recipe as YAML that reads back as the same values.

    Parameters
    ----------
    values
        Plain values: sections, lists, text, numbers, true, false, null.
    comments
        By dotted path: a short one goes behind its key, a longer one above it.
    """
    said = comments or {}
    lines: list[str] = []
    for key, value in values.items():
        if key in (*_SPACED, "task", "head") and lines:
            lines.append("")
        lines += _entry(key, value, (key,), said)
    return "\n".join(lines) + "\n"


def comment(text: str, indent: str = "") -> list[str]:
    """A text as lines of comment."""
    lines, line = [], ""
    for word in text.split():
        if line and len(indent) + len(line) + len(word) + 3 > WIDTH:
            lines.append(f"{indent}# {line}")
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, f"{indent}# {line}"]


def _entry(key: str, value: Any, path: tuple[str, ...], comments: Comments) -> Iterator[str]:
    """The lines of one key."""
    indent = "  " * (len(path) - 1)
    said = comments.get(".".join(path))
    start = f"{indent}{_text(key)}:"
    line = f"{start} {_flow(value)}"
    is_block = isinstance(value, Mapping) and bool(value) and _needs_lines(value, path, comments, len(line))
    if is_block:
        line = start
    is_short = said is not None and len(line) + len(said) + 4 <= WIDTH
    if said is not None and not is_short:
        yield from comment(said, indent)
    yield f"{line}  # {said}" if is_short else line
    if is_block:
        for below, inner in value.items():
            yield from _entry(str(below), inner, (*path, str(below)), comments)


def _needs_lines(value: Mapping[str, Any], path: tuple[str, ...], comments: Comments, length: int) -> bool:
    """Whether a section takes a line for each of its keys."""
    inside = ".".join(path) + "."
    is_spaced = (len(path) == 1 and path[0] in _SPACED) or path == ("data", "tables")
    return is_spaced or length > WIDTH or any(one.startswith(inside) for one in comments)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(str(key))}: {_flow(below)}" for key, below in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _text(value) if isinstance(value, str) else _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, float) and value and abs(value) < 1e-2:  # 3e-4, as in the paper
        mantissa, _, exponent = f"{value!r}".partition("e") if "e" in f"{value!r}" else f"{value:e}".partition("e")
        return (
            f"{float(mantissa):g}e{int(exponent)}" if float(f"{float(mantissa):g}e{exponent}") == value else repr(value)
        )
    return json.dumps(value)


def _text(text: str) -> str:
    """Plain where it reads back as text, in quotes otherwise."""
    is_plain = _PLAIN.fullmatch(text) is not None and text == text.strip() and read_yaml(text).values == text
    return text if is_plain else json.dumps(text, ensure_ascii=False)
