"""Options of the report."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from omib_cli.recipe.options import Options

Reference = Literal["constant", "linear", "forest", "boosting", "modalities"]
REFERENCES: tuple[str, ...] = get_args(Reference)


class EvaluateOptions(Options):
    """What the report computes."""

    bootstrap: Annotated[int, Field(ge=0)] = 1000
    """Resamples (of groups where there are any) behind each 95 % interval."""
    references: list[Reference] = ["constant", "linear", "forest", "boosting", "modalities"]
    """Simple models on the same split: the most frequent class or the median, logistic, ridge or Cox regression on
    all modalities, a random forest, gradient boosting, the linear model on each modality alone. Where all modalities
    are vectors and the training split has at most 20 million numbers (trees: one); an empty list leaves them out."""
    projection: Literal["pca", "umap"] = "pca"
    """How the map of the embedding is made."""
