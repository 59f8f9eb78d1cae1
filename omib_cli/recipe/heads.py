"""Options of prediction heads."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from omib_cli.recipe.options import Activation, Options, Share


class HeadOptions(Options):
    """Prediction heads: in -> hidden -> out, or linear (Appendix H; choice D4)."""

    hidden: Annotated[int, Field(ge=0)] = 512
    """Width of the hidden layer; 0 makes the head linear."""
    activation: Activation = "gelu"
    """After the hidden layer."""
    dropout: Share = 0.0
    """Dropout on the hidden layer."""
