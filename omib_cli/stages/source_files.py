"""What a run's input is: the path that it was given, and what its source files hold, as the dataset stage sees them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.registry import SOURCES


def input_key(input_path: Path | None, files: Mapping[str, str]) -> str:
    """SHA-256 of an input's path and of its files' hashes, by name; nothing for a recipe that reads no files."""
    if not files:
        return ""
    path = None if input_path is None else str(input_path.resolve())
    return hashlib.sha256(json.dumps([path, dict(sorted(files.items()))]).encode()).hexdigest()


def read_input_key(recipe: Recipe, input_path: Path | None) -> str:
    """The key of an input as it is now; all of its files are read.

    Raises
    ------
    RecipeError, DataError
        As preparing the dataset does: the input or one of its files is not there.
    """
    return input_key(input_path, SOURCES.implementation(recipe.data.source)(recipe, input_path).files())
