"""YAML as a recipe means it: 1.2's plain values, no key twice, and the line of every key.

`1e-4` is a number; `no`, `on`, `12:30` and `010` are not booleans, seconds or octals. Nothing but text, numbers,
true, false, null, lists and sections comes out, so no tag can make the reader build an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
Problem = tuple[int, str]
"""A line and what is wrong there."""

_MERGE = "<<"
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_PLAIN = {
    "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"^[-+]?[0-9]{1,18}$"),
    "float": re.compile(
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF)|\.(?:nan|NaN))$"
    ),
}


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by :data:`_PLAIN` alone."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {
        None: [(f"tag:yaml.org,2002:{kind}", pattern) for kind, pattern in _PLAIN.items()]
    }


@dataclass
class Document:
    """A YAML text, read.

    Attributes
    ----------
    values
        Plain values; None for an empty text.
    lines
        The line, from 1, of every key and list item, by its path.
    problems
        What the text does that no recipe may do, though it can be read.
    """

    values: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_yaml(text: str) -> Document:
    """Read one YAML document; a text that is no YAML gives a document whose only content is that problem."""
    document = Document()
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        document.problems.append(_syntax_problem(error))
        return document
    except yaml.reader.ReaderError as error:
        position = int(error.position)
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        character = text[position : position + 1]
        document.problems.append((line, f"column {column}: no valid YAML: the character {character!r}"))
        return document
    except RecursionError:
        document.problems.append((1, "brackets or sections are nested too deeply"))
        return document
    if root is not None:
        document.values = _Walk(document).value(root, ())
    return document


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    context = f" {error.context}" if error.context else ""
    hint = "; indent with spaces" if "\\t" in str(error.problem) else ""
    return line, f"column {column}: no valid YAML{context}: {error.problem or 'cannot be read'}{hint}"


class _Walk:
    """Turns nodes into values while it notes lines and problems."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """The value of a node, with everything below it."""
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if any(node is outer for outer in self._open):
            self._report(node, f"{dotted(path)}: an alias (*) of something that it is itself a part of")
            return None
        self._open.append(node)
        try:
            if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
                self._report(node, f"{dotted(path)}: the tag {node.tag} means nothing in a recipe")
            if isinstance(node, yaml.MappingNode):
                return self._section(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(child, (*path, i)) for i, child in enumerate(node.value)]
            return self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None
        finally:
            self._open.pop()

    def _section(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        own: dict[str, Any] = {}
        inherited: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._report(key_node, f"{dotted(path)}: a key must be plain text")
                continue
            key = key_node.value
            if key == _MERGE and key_node.style is None:
                for merged in self._merged(value_node, path):
                    inherited = {**merged, **inherited}
            elif key in first:
                self._report(
                    key_node, f"{dotted((*path, key))}: this key is there twice; the first is on line {first[key]}"
                )
            else:
                first[key] = line
                self._document.lines[(*path, key)] = line
                own[key] = self.value(value_node, (*path, key))
        return {**inherited, **own}

    def _merged(self, node: yaml.Node, path: KeyPath) -> Iterator[dict[str, Any]]:
        """The sections that ``<<: *name`` or ``<<: [*one, *two]`` takes over."""
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            value = self.value(part, path)
            if isinstance(value, dict):
                yield value
            else:
                self._report(part, f"{dotted(path)}: << takes over a section, such as *name")

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text = str(node.value)
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if _PLAIN["int"].match(text):
                return int(text)
            case "float" if _PLAIN["float"].match(text):
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            case "str":
                return text
        self._report(node, f"{dotted(path)}: the tag {node.tag} means nothing in a recipe")
        return None

    def _report(self, node: yaml.Node, problem: str) -> None:
        self._document.problems.append((node.start_mark.line + 1, problem))


def dotted(path: KeyPath) -> str:
    """A path as messages and ``--set`` write it: ``train.optimiser.lr``."""
    return ".".join(map(str, path)) or "the recipe"
