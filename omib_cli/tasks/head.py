"""Prediction heads: Dec_i on [z_i, noise or embedding], and the head of the fusion block on the embedding."""

from __future__ import annotations

from torch import nn

from omib_cli.recipe.model import HeadOptions

_ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "leaky-relu": nn.LeakyReLU}


def prediction_head(width: int, outputs: int, options: HeadOptions) -> nn.Sequential:
    """A head (B, width) to (B, outputs): one hidden layer, or linear (Appendix H; no softmax inside)."""
    if options.hidden == 0:
        return nn.Sequential(nn.Dropout(options.dropout), nn.Linear(width, outputs))
    return nn.Sequential(
        nn.Linear(width, options.hidden),
        _ACTIVATIONS[options.activation](),
        nn.Dropout(options.dropout),
        nn.Linear(options.hidden, outputs),
    )
