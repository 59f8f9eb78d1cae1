"""Studies: which runs make a table or a figure, and what a publication prints in its place."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from omib_cli.recipe.options import Count, Options


class Study(Options):
    """A file that `omib compare` or `omib sweep` takes instead of recipes."""

    study: str
    """Its name, which is also its file's."""
    recipes: Annotated[list[str], Field(min_length=1)]
    """Recipes by name or path; those that are named on the command line after the study take their place."""
    methods: list[str] = ["all"]
    """Fusion methods of a comparison, or `all`."""
    ablations: list[str] = []
    """Ablations of OMIB, or `all`."""
    beta: str | None = None
    """LOW:HIGH:N makes the study a sweep of beta."""
    vary: str | None = None
    """KEY=VALUES makes it a sweep of another key."""
    seeds: Count = 3
    """Runs of each variant."""
    printed: dict[str, dict[str, dict[str, float]]] = {}
    """What the publication prints: by recipe, metric and row. A row is a variant of the comparison, or a sub-vector of
    simulated data such as `a1 a2`."""
    notes: list[str] = []
    """What is to be known of the printed values; stands below every table."""

    @model_validator(mode="after")
    def _one_kind(self) -> Study:
        if self.beta is not None and self.vary is not None:
            raise ValueError("give either `beta` or `vary`")
        return self

    @property
    def command(self) -> str:
        """What runs it."""
        return "compare" if self.beta is None and self.vary is None else "sweep"
