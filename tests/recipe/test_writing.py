"""Recipes as text: what is written reads back as the same values."""

from __future__ import annotations

import pytest

from omib_cli.recipe.load import bundled, load_recipe
from omib_cli.recipe.writing import WIDTH, recipe_text
from omib_cli.recipe.yaml_reader import read_yaml

ODD = [
    "",
    "no",
    "null",
    "1e5",
    "010",
    "a: b",
    "a, b",
    "#x",
    "[x]",
    "{id}.wav",
    "**/{id}.wav",
    "rna:type",
    " x ",
    "é",
    "-",
]


@pytest.mark.parametrize("text", ODD)
def test_text_reads_back_as_text(text):
    values = {"name": text, text or "k": {"list": [text], "below": {"again": text}}}
    assert read_yaml(recipe_text(values)).values == values


@pytest.mark.parametrize("number", [0, 3, -2.5, 1e-4, 3e-4, 1e-7, 123456789, 0.1, 1.23456789e-5, True, None])
def test_numbers_read_back_as_they_were(number):
    found = read_yaml(recipe_text({"a": number, "b": {"c": [number]}})).values
    assert found == {"a": number, "b": {"c": [number]}}
    assert type(found["a"]) is type(number)


@pytest.mark.parametrize("name", list(bundled()))
def test_a_recipe_with_its_defaults_filled_in_is_the_same_recipe(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / "resolved.yaml").write_text(recipe_text(recipe.resolved()), encoding="utf-8")
    assert load_recipe(tmp_path / "resolved.yaml").hash() == recipe.hash()


def test_a_short_comment_stands_behind_its_key_and_a_long_one_above():
    long = "words " * 40
    text = recipe_text(
        {"name": "x", "data": {"split": {"by": "group"}, "impute": "median"}},
        {"data.split.by": "short", "data.impute": long},
    )
    assert "    by: group  # short\n" in text
    above, key = text.split("  impute: median")[0], text.splitlines()[-1]
    assert key == "  impute: median"
    assert above.count("  # words") == 3
    assert max(map(len, text.splitlines())) <= WIDTH
    assert read_yaml(text).values == {"name": "x", "data": {"split": {"by": "group"}, "impute": "median"}}


def test_a_section_stands_in_one_line_while_it_fits():
    text = recipe_text({"head": {"hidden": 0}, "fusion": {f"key{place}": place for place in range(30)}})
    assert "head: {hidden: 0}" in text
    assert "fusion:\n  key0: 0\n" in text
