"""One step of the optimiser: losses of a batch, piece by piece, their gradients, and the update of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from omib_cli.data.samples import Samples
from omib_cli.fusion.base import StepLosses
from omib_cli.nn.batch import Batch
from omib_cli.recipe.phases import PhaseOptions
from omib_cli.runtime.seeds import derive_seed
from omib_cli.training.averaging import WeightAverage
from omib_cli.training.divergence import diverged
from omib_cli.training.division import Division
from omib_cli.training.model import MultimodalModel
from omib_cli.training.schedule import make_optimiser, parameter_groups, rate_factor

Losses = Callable[[Sequence[Any], Batch], StepLosses]


class Step:
    """The optimiser of a phase, its learning rates, and the moving average of the weights.

    Parameters
    ----------
    losses
        Inputs M x (B, ...) and their batch to the losses.
    name
        Of the phase; with the seed and the number of the step it decides all noise.
    compiled
        Whether to have torch compile the losses.
    """

    def __init__(
        self,
        model: MultimodalModel,
        losses: Losses,
        options: PhaseOptions,
        *,
        seed: int,
        name: str,
        compiled: bool = False,
    ) -> None:
        self.model, self.options = model, options
        self.device = next(model.parameters()).device
        groups = parameter_groups(model, model.encoders, options.optimiser.lr)  # type: ignore[arg-type]
        self._rates = [group["lr"] for group in groups]
        self.optimiser = make_optimiser(options.optimiser, groups)
        self.average = WeightAverage(model, options.average) if options.average else None
        self.names: list[str] = []
        self._losses = torch.compile(losses, options={"fallback_random": True}) if compiled else losses
        self._seed, self._name = seed, name

    @property
    def rate(self) -> float:
        """The phase's learning rate at the last step."""
        rate: float = self.optimiser.param_groups[0]["lr"]
        return rate

    def gradients(self, samples: Samples, division: Division, number: int) -> torch.Tensor:
        """Gradients of this process's rows into the parameters; their share of the terms that are logged, (T,).

        :attr:`names` says what the terms are; the total loss is the first.
        """
        self.optimiser.zero_grad()
        noise = derive_seed(self._seed, self._name, "noise", number)
        shares = []
        for piece, batch in division.pieces(samples):
            self._seed_torch(noise)  # the same for all pieces: what they draw together is the whole batch's
            with self._precision():
                losses = self._losses(piece.values, batch)
            losses.total.backward()  # type: ignore[no-untyped-call]
            self.names = ["loss", *losses.terms]
            shares.append(torch.stack([losses.total.detach(), *losses.terms.values()]).float())
        return torch.stack(shares).sum(dim=0)

    def update(self, number: int, steps_per_epoch: int) -> torch.Tensor | None:
        """Change the weights; returns the norm of the gradient where there is a limit to it."""
        factor = rate_factor(self.options.schedule, number, steps_per_epoch, self.options.epochs)
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        norm = None
        if self.options.clip is not None:
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip)
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.model)
        return norm

    def kept_weights(self) -> dict[str, torch.Tensor]:
        """The weights as they would be kept, averaged where there is an average (copies)."""
        weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        return weights if self.average is None else {**weights, **self.average.values()}

    def must_be_finite(self, place: str) -> None:
        """Refuse weights that are infinite or no numbers, the averaged ones too: one pass over them.

        Raises
        ------
        NumericError
            Names the first of them.
        """
        every = {**self.model.state_dict(), **(self.average.averages if self.average else {})}
        numbers = {name: value for name, value in every.items() if value.is_floating_point()}
        if math.isfinite(float(torch.stack(torch._foreach_norm([*numbers.values()])).sum())):
            return  # nearly always; a norm of finite weights may overflow, and then each of them is looked at
        finite = torch.stack([torch.isfinite(value).all() for value in numbers.values()]).tolist()
        broken = [name for name, good in zip(numbers, finite, strict=True) if not good]
        if broken:
            raise diverged(f"{len(broken)} weights, {broken[0]} among them,", place, self._name)

    def averaged(self) -> AbstractContextManager[None]:
        """Within the block the model has the weights that would be kept."""
        return nullcontext() if self.average is None else self.average.in_place_of(self.model)

    def state(self) -> dict[str, Any]:
        """What :meth:`load` needs."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": None if self.average is None else self.average.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load(state["average"])

    def _seed_torch(self, seed: int) -> None:
        """As torch.manual_seed, which formats its caller's stack for every backend: as slow as a small layer."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _precision(self) -> AbstractContextManager[object]:
        """Matrix products in bfloat16 where asked for; losses stay in float32."""
        if self.options.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)
