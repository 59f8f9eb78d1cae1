"""Options of tasks, one class each, and their registry.

Labels in square brackets, such as [D2], are places where the paper leaves a choice: docs/choices.md lists them all.
"""

from __future__ import annotations

from typing import Literal

from omib_cli.recipe.options import Count, NonNegative, Options, Positive, Registry

TASKS = Registry("task", "kind")


class TaskOptions(Options):
    """What every task has in common: its name."""

    kind: str

    @property
    def couples_samples(self) -> bool:
        """Whether the loss compares the samples of a batch, which several processes do not see."""
        return False


class ClassificationOptions(TaskOptions):
    """One of C classes; cross-entropy on logits."""

    kind: Literal["classification"] = "classification"
    weights: Literal["balanced"] | dict[str, Positive] | None = None
    """What a sample of each class weighs in the loss: `balanced` for the inverse of the class's number of training
    samples, or a weight for each class by its name (1 for the others); scaled to mean 1 over the training samples."""


class RegressionOptions(TaskOptions):
    """One real number; squared or absolute error, or a Gaussian's likelihood."""

    kind: Literal["regression"] = "regression"
    loss: Literal["mse", "l1", "gaussian"] = "mse"
    """Training loss [A2]: squared or absolute error, or the squared error as a Gaussian's -ln q in nats, whose variance
    is the batch's own mean squared error (each micro-batch has its own; several processes are refused). Beta weighs
    nats against the loss: against a squared error that is far below 1, it weighs too much."""
    centre: float = 0.0
    """The label that an output of 0 means: about the mean of the labels, where that is far from 0."""
    scale: Positive = 1.0
    """Units of the label that make one unit of output: about the labels' deviation, where that is far from 1. Losses
    are in units of output, predictions and metrics in those of the label."""
    sentiment: bool = False
    """Also report the metrics of sentiment scores in [-3, 3]: Acc-2 in both conventions, F1, Acc-7."""

    @property
    def couples_samples(self) -> bool:
        """A batch's mean squared error is its Gaussian's variance."""
        return self.loss == "gaussian"


class AnomalyOptions(TaskOptions):
    """Normal or not, learnt from normal samples only (deep one-class classification) [F]."""

    kind: Literal["anomaly"] = "anomaly"
    width: Count = 256
    """Width of the space in which distances from the centre are taken."""
    epsilon: Positive = 0.1
    """Least distance of a centre's coordinates from 0."""
    centre_draws: Count = 4
    """Passes over the training split, each with noise of its own, whose mean output becomes a head's centre [F5]."""
    least_spread: NonNegative = 1e-3
    """Relative spread of encodings and embedding below which training has collapsed and stops [F3]."""


class SurvivalOptions(TaskOptions):
    """The order of events in time, some of them not seen (censored); Cox's partial likelihood, Efron's ties."""

    kind: Literal["survival"] = "survival"

    @property
    def couples_samples(self) -> bool:
        """Who is at risk is who of the batch is."""
        return True


TASKS.add(ClassificationOptions, "omib_cli.tasks.classification:Classification")
TASKS.add(RegressionOptions, "omib_cli.tasks.regression:Regression")
TASKS.add(AnomalyOptions, "omib_cli.tasks.anomaly:Anomaly")
TASKS.add(SurvivalOptions, "omib_cli.tasks.survival:Survival")
