"""What every task provides. Notation: B batch, N samples, C outputs of a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from omib_cli.tasks.head import prediction_head

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from omib_cli.recipe.heads import HeadOptions
    from omib_cli.recipe.tasks import TaskOptions


class Task(ABC):
    """A task, made from its options and the class names of the dataset (empty where it has none).

    ``weights`` are what samples of each class weigh in the loss (C,); none where all weigh alike.
    """

    bias: ClassVar[bool] = True
    """Whether layers on the way to a prediction may have a bias: without one, a network cannot answer a constant."""

    by_group: ClassVar[bool] = False
    """Whether metrics are computed for each group by itself and then averaged: sections of tissue."""

    has_logits: ClassVar[bool] = False
    """Whether outputs are logits: probabilities tie near 0 and 1, so an embedding keeps these beside them."""

    main_metric: ClassVar[str]
    """The metric that one would quote first."""

    def __init__(self, options: TaskOptions, classes: list[str], weights: Sequence[float] | None = None) -> None:
        self.options: Any = options
        self.classes = classes
        self.weights = weights

    @property
    @abstractmethod
    def outputs(self) -> int:
        """C, the width of a head's output."""

    def make_head(self, width: int, options: HeadOptions, modality: int | None = None) -> nn.Module:
        """A head: (B, width) and a batch to outputs (B, C); ``modality`` where it predicts from that one alone."""
        return prediction_head(width, self.outputs, options)

    @abstractmethod
    def loss(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """-log q(y | .) up to a constant: (..., B, C) outputs and (B,) labels to (..., B) losses, float32."""

    def loss_among(self, output: torch.Tensor, label: torch.Tensor, there: torch.Tensor | None) -> torch.Tensor:
        """As :meth:`loss`, where only the samples of ``there`` (..., B) count; None for all.

        What others are there changes nothing, unless the task compares samples: such a one has a method of its own.
        """
        return self.loss(output, label)

    def likelihood(self, output: torch.Tensor, label: torch.Tensor, there: torch.Tensor | None = None) -> torch.Tensor:
        """q(y | .) up to a constant, whatever the sample's weight: (..., B, C) outputs, (B,) labels to (..., B).

        ``there`` as for :meth:`loss_among`.
        """
        return self.loss_among(output, label, there).neg().exp()

    @abstractmethod
    def divergence(self, output: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """KL(p || q) of the predictions behind two outputs: (..., B, C), (B, C) to (..., B), at least 0, float32."""

    @abstractmethod
    def average(self, outputs: torch.Tensor) -> torch.Tensor:
        """The output whose prediction is the mean of the predictions behind several: (S, B, C) to (B, C)."""

    @abstractmethod
    def scores(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """What predictions and metrics are made of, in float64, from a head's outputs (N, C).

        Log-probabilities of classes (N, C), the value (N, 1), how anomalous a sample is, or its log-hazard (N, 1).
        """

    def readable(self, scores: NDArray[np.float64]) -> NDArray[np.floating]:
        """Scores as an embedding shows them: class probabilities (float32), or the scores as they are."""
        return scores

    def from_readable(self, readable: NDArray[np.floating]) -> NDArray[np.float64]:
        """Scores of an embedding that has nothing but :meth:`readable` ones."""
        return readable.astype(np.float64)

    @abstractmethod
    def prediction(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The predicted class index or value (N,), from :meth:`scores`."""

    def of_branch(self) -> Task:
        """The task as a modality's own branch is judged by it."""
        return self

    def reweighted(
        self, scores: NDArray[np.float64], labels: NDArray[np.float64]
    ) -> Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
        """Metrics as functions of how often each resample drew each sample, (R, N) to (R,).

        Those that depend on more than scores and labels, which ``evaluation/resampling.py`` does not know.
        """
        return {}

    def nonconformity(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """How unlike its truth each prediction is (N,), from :meth:`scores` and labels (N,); None: no such thing.

        Sets of classes and intervals of values hold all that is no more unlike the prediction than most truths are.
        """
        return None

    def headline(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
        """The main metric alone, which training asks for after every epoch."""
        return self.metrics(scores, labels)[self.main_metric]

    @abstractmethod
    def metrics(self, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
        """Metrics over a whole split, from :meth:`scores` and labels (N,); NaN where undefined."""
