"""What every task provides. Notation: B batch, N samples, C outputs of a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from omib_cli.tasks.head import prediction_head

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from omib_cli.recipe.heads import HeadOptions
    from omib_cli.recipe.tasks import TaskOptions


class Task(ABC):
    """A task, made from its options and the class names of the dataset (empty where it has none)."""

    bias: ClassVar[bool] = True
    """Whether layers on the way to a prediction may have a bias: without one, a network cannot answer a constant."""

    by_group: ClassVar[bool] = False
    """Whether metrics are computed for each group by itself and then averaged: sections of tissue."""

    main_metric: ClassVar[str]
    """The metric that one would quote first."""

    def __init__(self, options: TaskOptions, classes: list[str]) -> None:
        self.options: Any = options
        self.classes = classes

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

    @abstractmethod
    def divergence(self, output: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """KL(p || q) of the predictions behind two outputs: (..., B, C), (B, C) to (..., B), at least 0, float32."""

    @abstractmethod
    def average(self, outputs: torch.Tensor) -> torch.Tensor:
        """The output whose prediction is the mean of the predictions behind several: (S, B, C) to (B, C)."""

    @abstractmethod
    def readable(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (N, C) as stored in an embedding: class probabilities, or the value in its own unit."""

    @abstractmethod
    def prediction(self, readable: NDArray[np.float32]) -> NDArray[np.float64]:
        """The predicted class index or value (N,), from :meth:`readable` outputs (N, C)."""

    @abstractmethod
    def metrics(self, readable: NDArray[np.float32], labels: NDArray[np.float64]) -> dict[str, float]:
        """Metrics over a whole split, from :meth:`readable` outputs (N, C) and labels (N,); NaN where undefined."""
