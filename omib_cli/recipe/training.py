"""Sections that describe estimation and training: mutual information, beta, the two phases, evaluation.

Labels in square brackets, such as [C6], are places where the paper leaves a choice: docs/choices.md lists them all.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omib_cli.recipe.section import Section

Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]


class InformationOptions(Section):
    """H(v_i) = I(v_i; v_i) and I(v_i; v_j), estimated, and the bounds on beta that follow (docs/information.md)."""

    estimator: Literal["mine", "infonce", "nwj", "smile", "gaussian", "saturation"] = "mine"
    """`mine` is the paper's; `gaussian` the closed form for Gaussian data; `saturation` takes ln N throughout."""
    input: Literal["auto", "raw", "encodings", "pca"] = "auto"
    """What stands for a modality: its raw standardised vector, its frozen encoding after warm-up, or principal
    components; `auto` takes raw vectors where the modality is one [D3]."""
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
    """Passes of the critic over its training part."""
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
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    """Decay, per step, of the moving average of the critic's weights that is read on held-out samples; 0 for none."""
    ema: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01
    """Rate of the moving average that corrects MINE's gradient."""
    clip: Positive = 5.0
    """SMILE's bound on the critic inside the exponential."""
    floor: Positive = 0.1
    """Least total information (nats) for which a bound on beta is given."""


class BetaOptions(Section):
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


class OptimiserOptions(Section):
    """Adam, AdamW (decoupled weight decay) or SGD."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    """Which optimiser."""
    lr: Positive = 1e-4
    """Learning rate."""
    weight_decay: NonNegative = 0.0
    """Coupled (L2) in adam and sgd, decoupled in adamw."""
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """Of sgd."""


class ScheduleOptions(Section):
    """How the learning rate changes over a phase."""

    kind: Literal["constant", "step", "cosine"] = "constant"
    """`step` multiplies by `factor` every `every` epochs; `cosine` falls to zero at the end of the phase."""
    every: Count = 70
    """Epochs between steps."""
    factor: Positive = 0.1
    """Multiplier at each step."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Optimiser steps over which the rate first rises linearly from zero."""


class PhaseOptions(Section):
    """One training phase."""

    epochs: Annotated[int, Field(ge=0)]
    """Passes over the training split."""
    batch: Count = 128
    """Samples per step, over all processes."""
    micro_batch: Count | None = None
    """Most samples that go through the network at once, for batches that memory does not hold; their gradients are
    added up. What compares samples, such as r, then sees those of a micro-batch."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of matrix products and convolutions; losses, divergences and weights are float32 in any case."""
    optimiser: OptimiserOptions = OptimiserOptions()
    """Made afresh for each phase."""
    schedule: ScheduleOptions = ScheduleOptions()
    """Of the learning rate."""
    clip: Positive | None = None
    """Largest norm of the gradient; None for no limit."""
    select: Literal["last", "validation"] = "last"
    """Which epoch's weights are kept: the last, or the one with the lowest loss on the validation split."""
    patience: Count | None = None
    """Epochs without a better validation loss after which the phase ends."""
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Decay of an exponential moving average of the weights, which is what is validated and kept; 0 for none.
    At step n the decay is at most (1 + n) / (10 + n): short phases average over less than it says."""

    @model_validator(mode="after")
    def _patience_needs_selection(self) -> PhaseOptions:
        if self.patience is not None and self.select == "last":
            raise ValueError("`patience` needs `select: validation`")
        return self


class WarmupOptions(PhaseOptions):
    """Algorithm 1: each encoder with its own head on [z, noise]; methods without it train for as many epochs more."""

    epochs: Annotated[int, Field(ge=0)] = 10
    """Passes over the training split; 0 for no warm-up (the ablation, which keeps the total: add them to `train`)."""


class TrainOptions(PhaseOptions):
    """Algorithm 2: the whole network, with beta and r."""

    epochs: Count = 90
    """Passes over the training split."""


class EvaluateOptions(Section):
    """What the report computes."""

    bootstrap: Annotated[int, Field(ge=0)] = 1000
    """Resamples (of groups where there are any) behind each 95 % interval."""
    projection: Literal["pca", "umap"] = "pca"
    """How the map of the embedding is made."""
