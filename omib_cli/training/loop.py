"""The one training loop, for warm-up (Algorithm 1) and main training (Algorithm 2).

It can stop after any step and continue as if it had not: the order of samples and all noise are functions of
(seed, phase, epoch, step), and the saved state holds the rest. A phase that was interrupted ends with the same
weights, bit for bit, as one that was not.

In several processes each works on its part of every batch; gradients, the terms that are logged and the wish to stop
are added up in one message a step, so that all processes do the same from there on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from omib_cli.artifacts.partial import Partial
from omib_cli.data.samples import Samples, Split
from omib_cli.distributed import processes
from omib_cli.distributed.exchange import Exchange
from omib_cli.errors import NumericError
from omib_cli.fusion.base import StepLosses
from omib_cli.recipe.phases import PhaseOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.noise import working_on
from omib_cli.runtime.seeds import derive_seed
from omib_cli.training.averaging import WeightAverage
from omib_cli.training.division import Division, own_rows
from omib_cli.training.log import MetricsLog
from omib_cli.training.model import MultimodalModel
from omib_cli.training.schedule import make_optimiser, parameter_groups, rate_factor

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
        A batch to the step's losses.
    validate
        A whole split to its figures; ``loss`` among them, which selection minimises.
    start, watch
        Called with the training split: before the first step, and after every epoch. In evaluation mode, without
        gradient, with noise of their own.
    """

    name: str
    options: PhaseOptions
    losses: Callable[[Samples], StepLosses]
    validate: Callable[[Split], dict[str, float]]
    start: Callable[[Split], None] | None = None
    watch: Callable[[Split], None] | None = None


@dataclass
class _Position:
    """Where the loop is, and what it has seen: everything that is saved besides tensors of the network."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    names: list[str] = field(default_factory=list)
    sums: torch.Tensor | None = None
    best_loss: float = float("inf")
    best_epoch: int = 0
    over: bool = False


class Trainer:
    """Runs one phase on one model.

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
        groups = parameter_groups(model, model.encoders, phase.options.optimiser.lr)  # type: ignore[arg-type]
        self._rates = [group["lr"] for group in groups]
        self.optimiser = make_optimiser(phase.options.optimiser, groups)
        self.average = WeightAverage(model, phase.options.average) if phase.options.average else None
        self.best: dict[str, torch.Tensor] | None = None
        self.at = _Position()
        self.losses = _compiled(phase.losses) if job.compile else phase.losses
        self._device = next(model.parameters()).device
        self._exchange = Exchange(self._device)
        self._save_now = False

    def run(self, train: Split, validation: Split | None) -> int:
        """Train, leave the selected weights in the model, and return the epoch they are from.

        Raises
        ------
        Interrupted
            A stop was asked for; the state is saved.
        NumericError
            A loss is not finite.
        """
        options = self.phase.options
        if not self._resume() and self.phase.start is not None:
            self._look("start", self.phase.start, train)
        total = len(train) * options.epochs
        done = len(train) * self.at.epoch + min(len(train), self.at.step * options.batch)
        self.job.progress.begin(self.phase.name, total, "samples", done)
        while self.at.epoch < options.epochs and not self.at.over:
            self._epoch(train)
            self._close_epoch(train, validation)
        self.job.progress.end()
        kept = self._select(options.epochs)
        self.log.mark_kept(self.phase.name, kept)
        return kept

    def _epoch(self, train: Split) -> None:
        """The rest of an epoch, from the current step."""
        windows = train.order.windows(self.seed, self.phase.name, self.at.epoch)
        bounds = batch_bounds(len(train), self.phase.options.batch)
        own = [own_rows(start, stop) for start, stop in bounds[self.at.step :]]
        self.model.train()
        started = time.monotonic()
        for batch in train.shuffled(windows, own):
            start, stop = bounds[self.at.step]
            self._step(batch, Division(stop - start, self.phase.options.micro_batch), len(bounds))
            self.at.step += 1
            if self._save_now:
                self.at.seconds, started = self.at.seconds + time.monotonic() - started, time.monotonic()
                self.partial.checkpoint(self._state())
        self.at.seconds += time.monotonic() - started

    def _step(self, batch: Samples, division: Division, steps: int) -> None:
        options = self.phase.options
        at_step = self.at.epoch * steps + self.at.step
        factor = rate_factor(options.schedule, at_step, steps, options.epochs)
        for group, rate in zip(self.optimiser.groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self.optimiser.zero_grad()
        noise = derive_seed(self.seed, self.phase.name, "noise", at_step)
        terms = None
        for piece, part in division.pieces(batch):
            self._seed(noise)
            with working_on(part), self._precision():
                losses = self.losses(piece)
            (losses.total if part is None else losses.total * part.weight).backward()  # type: ignore[no-untyped-call]
            self.at.names = ["loss", *losses.terms]
            found = torch.stack([losses.total.detach(), *losses.terms.values()]).float()
            found = found if part is None else found * part.weight
            terms = found if terms is None else terms + found
        assert terms is not None
        terms, self._save_now = self._agree(terms, self._is_look(at_step))
        if options.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), options.clip)
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.model)
        self._note(terms, division.total, at_step)

    def _is_look(self, at_step: int) -> bool:
        """Whether values are looked at in this step: seldom on an accelerator, which would have to be waited for."""
        return self._device.type == "cpu" or (at_step + 1) % GPU_CHECK_EVERY == 0

    def _agree(self, terms: torch.Tensor, look: bool) -> tuple[torch.Tensor, bool]:
        """Add gradients and terms up over the processes, and whether any wants the state saved or is to stop."""
        if processes.world_size() == 1:
            return terms, self.partial.due
        trained = [(p, p.grad) for p in self.model.parameters() if p.grad is not None]
        wishes = terms.new_tensor([float(self.partial.due), float(self.job.stop.reason is not None)])
        *summed, terms, wishes = self._exchange.sums([*(gradient for _, gradient in trained), terms, wishes])
        for (parameter, _), total in zip(trained, summed, strict=True):
            parameter.grad = total if self.phase.options.clip is None else total.clone()  # clipping writes to it
        return terms, look and self._heed(wishes)

    def _heed(self, wishes: torch.Tensor) -> bool:
        """What all processes do together once any of them wants to save (first of ``wishes``) or to stop (second)."""
        save, stop = wishes.tolist()
        if stop:
            self.job.stop.set("another process was asked to stop")
        return bool(save or stop)

    def _note(self, terms: torch.Tensor, count: int, at_step: int) -> None:
        """Add the step's terms to the epoch's sums; look at the loss now and then."""
        terms = terms * count
        self.at.sums = terms if self.at.sums is None else self.at.sums + terms
        if self._is_look(at_step):
            if not math.isfinite(self.at.sums[0].item()):  # the total: no term is infinite without it
                raise self._not_finite(at_step)
            self.job.progress.advance(count, loss=terms[0].item() / count)
        else:
            self.job.progress.advance(count)

    def _seed(self, seed: int) -> None:
        """As torch.manual_seed, which formats its caller's stack for every backend: as slow as a small layer."""
        torch.default_generator.manual_seed(seed)
        if self._device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _precision(self) -> AbstractContextManager[object]:
        """Matrix products in bfloat16 where asked for; losses stay in float32."""
        if self.phase.options.precision == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, dtype=torch.bfloat16)

    def _not_finite(self, at_step: int) -> NumericError:
        assert self.at.sums is not None
        finite = torch.isfinite(self.at.sums).tolist()
        broken = [name for name, good in zip(self.at.names, finite, strict=True) if not good]
        return NumericError(
            f"training diverged: {', '.join(broken)} is not a finite number",
            where=f"phase {self.phase.name}, epoch {self.at.epoch + 1}, step {at_step + 1}",
            do=f"a smaller {self.phase.name}.optimiser.lr, or {self.phase.name}.clip: 1.0",
        )

    def _close_epoch(self, train: Split, validation: Split | None) -> None:
        """Write the epoch's row, remember the best weights, decide whether to go on."""
        assert self.at.sums is not None
        means = dict(zip(self.at.names, (self.at.sums / len(train)).tolist(), strict=True))
        row: dict[str, Any] = {
            "phase": self.phase.name,
            "epoch": self.at.epoch + 1,
            "seconds": round(self.at.seconds, 3),
            "lr": self.optimiser.groups[0]["lr"],
            **means,
        }
        for buffer in self.model.buffers():  # batch norm's: of each process's parts
            processes.broadcast(buffer)
        if self.phase.watch is not None:
            self._look("watch", self.phase.watch, train)
        if validation is not None:
            figures = self._look("validation", self.phase.validate, validation)
            row |= {f"validation/{name}": value for name, value in figures.items()}
            self._compare(figures["loss"])
        self.log.add(row)
        self.at.epoch, self.at.step, self.at.seconds, self.at.sums = self.at.epoch + 1, 0, 0.0, None
        wishes = torch.tensor([float(self.partial.due), float(self.job.stop.reason is not None)])
        if self._heed(processes.all_reduce_sum(wishes.to(self._device))):
            self.partial.checkpoint(self._state())

    def _look(self, purpose: str, function: Callable[[Split], T], samples: Split) -> T:
        """Apply a function of the network as it would be kept: averaged, without dropout, with the same noise."""
        self.model.eval()
        torch.manual_seed(derive_seed(self.seed, self.phase.name, purpose))
        averaged = nullcontext() if self.average is None else self.average.in_place_of(self.model)
        with torch.no_grad(), averaged:
            return function(samples)

    def _compare(self, loss: float) -> None:
        options = self.phase.options
        if options.select != "validation":
            return
        if loss < self.at.best_loss:
            self.at.best_loss, self.at.best_epoch = loss, self.at.epoch + 1
            self.best = self._weights()
        elif options.patience is not None and self.at.epoch + 1 - self.at.best_epoch >= options.patience:
            self.at.over = True

    def _select(self, epochs: int) -> int:
        """Put the selected weights into the model."""
        if self.phase.options.select == "validation" and self.best is not None:
            self.model.load_state_dict(self.best)
            return self.at.best_epoch
        self.model.load_state_dict(self._weights())
        return epochs

    def _weights(self) -> dict[str, torch.Tensor]:
        weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        return weights if self.average is None else {**weights, **self.average.values()}

    def _state(self) -> dict[str, Any]:
        return {
            "phase": self.phase.name,
            "position": dict(vars(self.at)),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": None if self.average is None else self.average.state(),
            "best": self.best,
            "log": self.log.rows,
        }

    def _resume(self) -> bool:
        """Continue from a saved state, if there is one."""
        state = self.partial.load()
        if state is None:
            self.log.start([])
            return False
        self.at = _Position(**state["position"])
        self.at.sums = None if self.at.sums is None else self.at.sums.to(self._device)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best = state["best"]
        if self.average is not None:
            self.average.load(state["average"])
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


def _compiled(losses: Callable[[Samples], StepLosses]) -> Callable[[Samples], StepLosses]:
    """The same, compiled; random numbers stay those of the seed."""
    compiled: Callable[[Samples], StepLosses] = torch.compile(losses, options={"fallback_random": True})
    return compiled
