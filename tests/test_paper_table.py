"""The table of where the paper is computed, in CONTRIBUTING.md, names what there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "omib_cli"
DEFINITIONS = (ast.ClassDef, ast.FunctionDef)


def rows():
    """(first cell, named places) of each row of the table."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Where the paper is\n")[1].split("\n## ")[0]
    found = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [(paper.strip(), re.findall("`([^`]+)`", here)) for paper, here in found[2:]]


def defines(path, name):
    """Whether the file defines a function, a class, or a method ``Class.method`` of this name."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for part in name.split("."):
        found = [node for node in body if isinstance(node, DEFINITIONS) and node.name == part]
        if not found:
            return False
        body = found[0].body
    return True


def test_every_place_in_the_table_exists():
    for paper, places in rows():
        assert places, f"{paper}: no place is named"
        for place in places:
            file, _, name = place.partition(":")
            assert (PACKAGE / file).exists(), f"{paper}: there is no {file}"
            assert not name or defines(PACKAGE / file, name), f"{paper}: {file} has no {name}"


def test_every_equation_that_is_computed_is_in_the_table():
    named = set()
    for paper, _ in rows():
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", paper.split(":")[0]):
            named |= set(range(int(first), int(last or first) + 1))
    assert {*range(2, 12), 67, 68, *range(99, 106)} <= named
    text = " ".join(paper for paper, _ in rows())
    for words in ("Algorithm 1", "Algorithm 2", "Lemma 5.5", "Proposition 5.7", "Lemma D.4", "Appendix F"):
        assert words in text
