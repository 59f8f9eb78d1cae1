"""The recipe that an artifact carries, which another version of omib may have written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omib_cli import __version__
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import MismatchError, RecipeError
from omib_cli.recipe.load import recipe_from_values
from omib_cli.recipe.schema import Recipe


def recipe_of(provenance: Provenance, path: Path, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """The recipe in an artifact's description of itself, with overrides: the one way to read it.

    Raises
    ------
    MismatchError
        It says what this version does not understand: a key, an encoder, a value.
    RecipeError
        It is understood, but not with these overrides.
    """
    try:
        stored = recipe_from_values(provenance.recipe)
    except RecipeError as error:
        raise MismatchError(
            f"{path.name} carries a recipe that this omib does not understand",
            where=path,
            got=f"written by omib {provenance.omib}: {'; '.join(error.problems)}",
            expected=f"a recipe of omib {__version__}, which this is",
            do=f"use omib {provenance.omib}, or make {path.name} again with this one",
        ) from error
    return recipe_from_values(provenance.recipe, overrides, seed) if overrides or seed is not None else stored
