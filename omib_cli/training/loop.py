"""The one training loop, for warm-up (Algorithm 1) and main training (Algorithm 2).

It can stop after any step and continue as if it had not: the order of samples and all noise are functions of
(seed, phase, epoch, step), and the saved state holds the rest. A phase that was interrupted ends with the same
weights, bit for bit, as one that was not.

In several processes each works on its rows of every batch; what they settle together is in training/agreement.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any, TypeVar

import torch

from omib_cli.artifacts.partial import Partial
from omib_cli.data.samples import Split, counts_of_batches
from omib_cli.distributed import processes
from omib_cli.recipe.phases import PhaseOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.seeds import derive_seed
from omib_cli.training.agreement import Agreement
from omib_cli.training.divergence import diverged
from omib_cli.training.division import Division, own_rows
from omib_cli.training.log import EpochSums, MetricsLog
from omib_cli.training.model import MultimodalModel
from omib_cli.training.selection import Selection
from omib_cli.training.step import Losses, Step

T = TypeVar("T")
GPU_CHECK_EVERY = 50
"""Steps between looks at the loss on an accelerator, where each look waits for the device; on a CPU every step."""


@dataclass
class Phase:
    """What distinguishes warm-up from main training.

    Attributes
    ----------
    name
        ``warmup`` or ``train``.
    losses
        Inputs and their batch to the step's losses.
    validate
        A whole split to its figures; ``loss`` among them, which selection minimises.
    start, watch
        Called with the training split: before the first step, and after every epoch. In evaluation mode, without
        gradient, with noise of their own.
    """

    name: str
    options: PhaseOptions
    losses: Losses
    validate: Callable[[Split], dict[str, float]]
    start: Callable[[Split], None] | None = None
    watch: Callable[[Split], None] | None = None


@dataclass
class Position:
    """Where the loop is: epochs done, steps done of the next one, and the seconds that those took."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0


class Trainer:
    """Runs one phase on one model.

    It holds five things: the step, the agreement among processes, the epoch's log, the selection of weights, and the
    resumable state, which is what the others say of themselves.

    Parameters
    ----------
    model, phase, seed
        What is trained, how, and with which random numbers.
    partial
        Where the resumable state lives.
    log
        Where a row per epoch goes.
    """

    def __init__(
        self, model: MultimodalModel, phase: Phase, seed: int, partial: Partial, log: MetricsLog, job: Job
    ) -> None:
        self.model, self.phase, self.seed = model, phase, seed
        self.partial, self.log, self.job = partial, log, job
        self.step = Step(model, phase.losses, phase.options, seed=seed, name=phase.name, compiled=job.compile)
        clips = phase.options.clip is not None
        self.agreement = Agreement(model, partial, job, writes_to_gradients=clips)
        self.selection = Selection(phase.options)
        self.sums = EpochSums()
        self.at = Position()

    def run(self, train: Split, validation: Split | None) -> int:
        """Train, leave the selected weights in the model, and return the epoch they are from.

        Raises
        ------
        Interrupted
            A stop was asked for; the state is saved.
        NumericError
            A loss, a gradient or a weight is not finite.
        """
        options = self.phase.options
        if not self._resume() and self.phase.start is not None:
            self._evaluate("start", self.phase.start, train)
        done = len(train) * self.at.epoch + min(len(train), self.at.step * options.batch)
        total = len(train) * options.epochs
        self.job.progress.begin(self.phase.name, total, "samples", done, epochs=options.epochs)
        while self.at.epoch < options.epochs and not self.selection.over:
            self._train_epoch(train)
            self._finish_epoch(train, validation)
        self.job.progress.end()
        kept, weights = self.selection.choose(options.epochs, self.step.kept_weights)
        self.model.load_state_dict(weights)
        self.log.mark_kept(self.phase.name, kept)
        return kept

    def _train_epoch(self, train: Split) -> None:
        """The rest of an epoch, from the current step."""
        bounds = batch_bounds(len(train), self.phase.options.batch)
        left = bounds[self.at.step :]
        self.model.train()
        started = time.monotonic()
        batches = train.shuffled(self._windows(train), [own_rows(start, stop) for start, stop in left])
        for (start, stop), counts, samples in zip(left, self._counts(train, left), batches, strict=True):
            division = Division(stop - start, self.phase.options.micro_batch, counts)
            number = self.at.epoch * len(bounds) + self.at.step
            terms = self.step.gradients(samples, division, number)
            terms, save_now = self.agreement.after_step(terms, look=self._looks(number))
            norm = self.step.update(number, len(bounds))
            self._record(terms, norm, stop - start, number)
            self.at.step += 1
            if save_now:
                self.at.seconds += time.monotonic() - started
                started = time.monotonic()
                self.partial.checkpoint(self._state())
        self.at.seconds += time.monotonic() - started

    def _windows(self, train: Split) -> Iterator[Any]:
        return train.order.windows(self.seed, self.phase.name, self.at.epoch)

    def _counts(self, train: Split, bounds: list[tuple[int, int]]) -> Iterator[torch.Tensor | None]:
        """Of each whole batch, how many samples have both of two modalities; None where all of a batch is here."""
        if processes.world_size() == 1:
            return repeat(None, len(bounds))
        return counts_of_batches(train, self._windows(train), bounds)

    def _looks(self, number: int) -> bool:
        """Whether values are looked at in this step: seldom on an accelerator, which would have to be waited for."""
        return self.step.device.type == "cpu" or (number + 1) % GPU_CHECK_EVERY == 0

    def _record(self, terms: torch.Tensor, norm: torch.Tensor | None, samples: int, number: int) -> None:
        """Add a step's terms to the epoch's sums, and look at them now and then."""
        self.sums.add(self.step.names, terms, samples)
        if not self._looks(number):
            self.job.progress.advance(samples)
            return
        self.sums.must_be_finite(self._place(), self.phase.name)
        if norm is not None and not math.isfinite(norm.item()):
            raise diverged("the gradient's norm", self._place(), self.phase.name)
        self.job.progress.advance(samples, loss=terms[0].item())

    def _place(self) -> str:
        """Where a fault arose, in words."""
        return f"phase {self.phase.name}, epoch {self.at.epoch + 1}, step {self.at.step + 1}"

    def _finish_epoch(self, train: Split, validation: Split | None) -> None:
        """Check and write what the epoch came to, remember the best weights, decide whether to go on."""
        self.agreement.share_buffers()
        self.sums.must_be_finite(self._place(), self.phase.name)
        self.step.must_be_finite(self._place())
        epoch = self.at.epoch + 1
        row = {"phase": self.phase.name, "epoch": epoch, "seconds": round(self.at.seconds, 3), "lr": self.step.rate}
        row |= self.sums.means()
        if self.phase.watch is not None:
            self._evaluate("watch", self.phase.watch, train)
        if validation is not None:
            figures = self._evaluate("validation", self.phase.validate, validation)
            row |= {f"validation/{name}": value for name, value in figures.items()}
            self.job.progress.advance(0, **{f"validation {name}": value for name, value in figures.items()})
            self.selection.see(epoch, figures["loss"], self.step.kept_weights)
        self.log.add(row)
        if self.job.after_epoch is not None:
            self.job.after_epoch(row)
        self.at, self.sums = Position(epoch=epoch), EpochSums()
        if self.agreement.after_epoch():
            self.partial.checkpoint(self._state())

    def _evaluate(self, purpose: str, function: Callable[[Split], T], samples: Split) -> T:
        """Apply a function of the network as it would be kept: averaged, without dropout, with the same noise."""
        self.model.eval()
        torch.manual_seed(derive_seed(self.seed, self.phase.name, purpose))
        with torch.no_grad(), self.step.averaged():
            return function(samples)

    def _state(self) -> dict[str, Any]:
        return {
            "position": dict(vars(self.at)),
            "sums": self.sums.state(),
            "selection": self.selection.state(),
            "log": self.log.rows,
            **self.step.state(),
        }

    def _resume(self) -> bool:
        """Continue from a saved state, if there is one."""
        state = self.partial.load()
        if state is None:
            self.log.start([])
            return False
        self.at = Position(**state["position"])
        self.sums = EpochSums.of(state["sums"], self.step.device)
        self.step.load(state)
        self.selection.load(state["selection"])
        self.log.start(state["log"])
        self.job.progress.note(f"continuing {self.phase.name} at epoch {self.at.epoch + 1}, step {self.at.step + 1}")
        return True


def batch_bounds(samples: int, batch: int) -> list[tuple[int, int]]:
    """Where each batch of an epoch begins and ends, in the epoch's order.

    A remainder of a single sample joins the last batch, since its spread would be undefined.
    """
    starts = list(range(0, samples, batch))
    if len(starts) > 1 and samples % batch == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], samples], strict=True))
