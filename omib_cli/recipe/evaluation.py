"""Options of the report."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omib_cli.recipe.options import Options


class EvaluateOptions(Options):
    """What the report computes."""

    bootstrap: Annotated[int, Field(ge=0)] = 1000
    """Resamples (of groups where there are any) behind each 95 % interval."""
    projection: Literal["pca", "umap"] = "pca"
    """How the map of the embedding is made."""
