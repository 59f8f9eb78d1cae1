"""Options of simulated data, and the paper's three cases."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from omib_cli.recipe.options import Count, Share
from omib_cli.recipe.sources.common import SourceOptions

CASES: dict[str, dict[str, int]] = {
    # Appendix F with docs/choices.md E4: d0 = d0' = 200 and d_i1 + d_i2 = 600.
    "i": {"a0": 200, "a1": 500, "a2": 100, "b0": 200, "b1": 100, "b2": 500},
    "ii": {"a0": 200, "a1": 100, "a2": 500, "b0": 200, "b1": 500, "b2": 100},
    "iii": {"a0": 200, "a1": 300, "a2": 300, "b0": 200, "b1": 300, "b2": 300},
}
_THREE = tuple(f"{ab}{ij}" for ab in "ab" for ij in ("00", "11", "22", "33", "12", "13", "23"))
"""The parts of three modalities; those of two are as in `CASES`."""


class SimulationOptions(SourceOptions):
    """Gaussian modalities with known task-relevant and superfluous parts (Appendix F; Appendix D for three)."""

    source: Literal["simulation"] = "simulation"
    case: Literal["i", "ii", "iii"] | None = None
    """One of the paper's three cases; leave out to give `parts`."""
    parts: dict[str, int] = {}
    """Columns of each part. Two modalities: a0 a1 a2 (task-relevant: shared, first's own, second's own) and
    b0 b1 b2 (superfluous). Three: a00 a11 a22 a33 a12 a13 a23 and b00 b11 b22 b33 b12 b13 b23."""
    samples: Count = 10_000
    """Number of samples, all splits together."""
    test: Share = 0.1
    """Share of the samples in the test split."""
    validation: Share = 0.0
    """Share of the samples left for training that becomes the validation split."""

    @model_validator(mode="after")
    def _one_way_to_size(self) -> SimulationOptions:
        if (self.case is None) == (not self.parts):
            raise ValueError("give either `case` or `parts`")
        two, three = set(CASES["i"]), set(_THREE)
        if self.parts and not (set(self.parts) <= two or set(self.parts) <= three):
            raise ValueError(f"`parts` are named {' '.join(sorted(two))}, or {' '.join(sorted(three))}")
        if any(size < 0 for size in self.parts.values()):
            raise ValueError("sizes in `parts` are 0 or more")
        if self.parts and not any(size for name, size in self.parts.items() if name[0] == "a"):
            raise ValueError("at least one task-relevant part (a...) must have a column")
        return self

    @property
    def sizes(self) -> dict[str, int]:
        """Columns of each part, whichever way they were given; parts left out have none."""
        if self.case is not None:
            return dict(CASES[self.case])
        names = CASES["i"] if set(self.parts) <= set(CASES["i"]) else _THREE
        return {name: self.parts.get(name, 0) for name in names}
