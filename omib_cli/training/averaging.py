"""An exponential moving average of the weights (Polyak and Juditsky 1992), debiased for its start at zero steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """Average of a model's parameters; ``decay`` near 1 remembers long.

    During the first steps the decay is min(decay, (1 + n) / (10 + n)), so that the initial weights fade quickly.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self.averages = {name: value.detach().clone() for name, value in model.named_parameters()}
        self._count = torch.zeros((), dtype=torch.int64)

    def update(self, model: nn.Module) -> None:
        """Take in the weights after an optimiser step."""
        self._count += 1
        count = int(self._count)
        decay = min(self._decay, (1 + count) / (10 + count))
        current = [value.detach() for value in dict(model.named_parameters()).values()]
        torch._foreach_lerp_(list(self.averages.values()), current, 1.0 - decay)

    def values(self) -> dict[str, torch.Tensor]:
        """The averaged parameters, by name (copies)."""
        return {name: value.clone() for name, value in self.averages.items()}

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Within the block the model has the averaged weights."""
        own = {name: value.detach().clone() for name, value in model.named_parameters()}
        model.load_state_dict(self.averages, strict=False)
        try:
            yield
        finally:
            model.load_state_dict(own, strict=False)

    def state(self) -> dict[str, torch.Tensor]:
        """What :meth:`load` needs."""
        return {**self.values(), "$count": self._count.clone()}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue from :meth:`state`."""
        self._count = state["$count"].clone()
        for name, value in self.averages.items():
            value.copy_(state[name])
