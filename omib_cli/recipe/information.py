"""Options of the estimation of mutual information, and of beta, which takes its bound from it.

Labels in square brackets, such as [D2], are places where the paper leaves a choice: docs/choices.md lists them all.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omib_cli.recipe.options import Count, NonNegative, Options, Positive, Share


class InformationOptions(Options):
    """H(v_i) = I(v_i; v_i) and I(v_i; v_j), estimated, and the bounds on beta that follow (docs/information.md)."""

    estimator: Literal["mine", "infonce", "nwj", "smile", "gaussian", "saturation"] = "mine"
    """`mine` is the paper's; `gaussian` the closed form for Gaussian data; `saturation` takes ln N throughout."""
    input: Literal["auto", "raw", "encodings", "pca"] = "auto"
    """What stands for a modality: its raw standardised vector, its frozen encoding after warm-up, or principal
    components; `auto` takes raw vectors where the modality is one, of many columns their components [D3]."""
    raw_columns: Count = 1000
    """Most columns of a vector that `auto` takes raw: of more, a critic learns its samples by heart."""
    components: Count = 64
    """Principal components of `pca`."""
    samples: Count = 100_000
    """Most training samples used, drawn from the seed; they are held in memory."""
    seeds: Count = 3
    """Independent repetitions, each holding out other samples; the estimate is their mean, the spread their
    standard deviation."""
    holdout: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    """Share of the training split on which the estimate is read."""
    evaluation_samples: Annotated[int, Field(ge=4)] = 10_000
    """Most held-out samples that enter one estimate; the value cannot exceed the logarithm of their number."""
    critic: Literal["paper", "bilinear"] = "paper"
    """`paper` is a ReLU network on [x; z] (Appendix E); `bilinear` adds a product term <P x, Q z>, which finds copies
    and linear relations at once, so that most entropies go straight to their limit."""
    hidden: Annotated[list[Count], Field(min_length=1)] = [256]
    """Widths of the critic's hidden layers (ReLU); the first is linear in [x; z]."""
    epochs: Count = 50
    """Passes of the critic over the samples that it is trained on."""
    least_steps: Count = 800
    """Least number of steps: small data gets more epochs."""
    patience: Count | None = 15
    """Epochs without a better held-out value after which an estimate ends; None for no early end."""
    batch: Annotated[int, Field(ge=2)] = 512
    """Joint pairs per step of the critic; small data gets smaller batches."""
    partners: Count | None = None
    """Product pairs per joint pair and step; None takes 16 for `infonce`, 4 for the others."""
    lr: Positive = 1e-3
    """AdamW's learning rate for the critic."""
    weight_decay: NonNegative = 0.0
    """Decoupled weight decay; 0 makes it Adam."""
    average: Share = 0.99
    """Decay, per step, of the moving average of the critic's weights that is read on held-out samples; 0 for none."""
    ema: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01
    """Rate of the moving average that corrects MINE's gradient."""
    clip: Positive = 5.0
    """SMILE's bound on the critic inside the exponential."""
    floor: Positive = 0.1
    """Least total information (nats) for which a bound on beta is given."""


class BetaOptions(Options):
    """The redundancy weight beta of Equation 10."""

    policy: Literal["uniform", "midpoint", "upper", "lower", "value"] = "uniform"
    """Where in [M_l, M_u] beta is taken; `uniform` draws once, from the run's seed (Algorithm 2) [C6]."""
    value: NonNegative | None = None
    """Beta itself, with policy `value`; above M_u is allowed and said aloud."""
    bound: Literal["star", "tree"] = "star"
    """`star` is the paper's M_u for any number of modalities [G]; `tree` the tighter maximum-spanning-tree one."""

    @model_validator(mode="after")
    def _value_with_policy(self) -> BetaOptions:
        if (self.policy == "value") != (self.value is not None):
            raise ValueError("`value` goes with `policy: value`, and only with it")
        return self
