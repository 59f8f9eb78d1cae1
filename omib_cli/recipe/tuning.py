"""Options of the `tune` section: the values of a key that `omib tune` tries."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, model_validator

from omib_cli.recipe.options import Options


class TuneOptions(Options):
    """Values that `omib tune` tries: from `low` to `high`, or one of `choices`."""

    low: float | None = None
    """The least value."""
    high: float | None = None
    """The largest value."""
    log: bool = False
    """Whether ratios count, and not differences: 1e-4 to 1e-3 is as far as 1e-3 to 1e-2."""
    choices: Annotated[list[Any], Field(min_length=2)] | None = None
    """Values of any kind, two or more."""

    @model_validator(mode="after")
    def _one_kind(self) -> TuneOptions:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("give either `choices`, or `low` and `high`")
            words = [json.dumps(choice, sort_keys=True) for choice in self.choices]
            if twice := next((word for word in words if words.count(word) > 1), None):
                raise ValueError(f"{twice} is there twice among `choices`")
        elif self.low is None or self.high is None:
            raise ValueError("give `low` and `high`, or `choices`")
        elif self.low >= self.high:
            raise ValueError(f"`low` ({self.low:g}) must be less than `high` ({self.high:g})")
        elif self.log and self.low <= 0.0:
            raise ValueError(f"`low` ({self.low:g}) must be more than 0 where `log` is true")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value of a range."""
        return self.low or 0.0, self.high or 0.0  # neither is None, which was checked

    @property
    def ends(self) -> list[Any]:
        """The values that show whether a recipe takes the others: both ends, or all choices."""
        return list(self.bounds) if self.choices is None else self.choices
