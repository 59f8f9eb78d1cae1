"""Options of the two phases of training: optimiser, schedule, selection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omib_cli.recipe.options import Count, NonNegative, Options, Positive, Share


class OptimiserOptions(Options):
    """Adam, AdamW (decoupled weight decay) or SGD."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    """Which optimiser."""
    lr: Positive = 1e-4
    """Learning rate."""
    weight_decay: NonNegative = 0.0
    """Coupled (L2) in adam and sgd, decoupled in adamw."""
    momentum: Share = 0.9
    """Of sgd."""


class ScheduleOptions(Options):
    """How the learning rate changes over a phase."""

    kind: Literal["constant", "step", "cosine"] = "constant"
    """`step` multiplies by `factor` every `every` epochs; `cosine` falls to zero at the end of the phase."""
    every: Count = 70
    """Epochs between steps."""
    factor: Positive = 0.1
    """Multiplier at each step."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Optimiser steps over which the rate first rises linearly from zero."""


class PhaseOptions(Options):
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
    average: Share = 0.0
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
    freeze: list[Literal["encoders"]] = []
    """What stays as it is in the model that training starts from (`omib train --start-from`)."""
