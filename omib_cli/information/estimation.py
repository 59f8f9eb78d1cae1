"""One estimate of I(x; z), or of H(x) = I(x; x): train a critic on some samples, read it on others; resumable.

Equation 99 is the supremum, over critics, of a value that :mod:`omib_cli.information.estimators` computes from a
critic's scores. Training a critic approaches the supremum from below, so what is reported is the value of the best
critic found. Equation 100, H(x) = I(x; x), is :func:`estimate` called with x twice; of continuous data it needs no
training (:func:`entropy_at_limit`).

The value is read on rows that are held out of training. After each epoch the averaged critic is scored on both
halves of them. The epoch that scored best on the first half is read on the second half, the epoch best on the second
half is read on the first, and the two readings are averaged. The best of many noisy scores is too large on
average; a score on samples that did not choose the epoch is not. The result is clipped to [0, ln N_eval], since so
many samples cannot vouch for more (McAllester & Stratos 2020).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from omib_cli.errors import DataError, NumericError
from omib_cli.information.critic import Critic
from omib_cli.information.estimators import critic_estimator, update_log_average
from omib_cli.information.gaussian import gaussian_information
from omib_cli.recipe.information import InformationOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.seeds import derive_seed

LEAST_ROWS = 16
"""Samples below which nothing can be estimated."""
COLUMNS = 64
"""Columns that are standardised at once."""
LEAST_HELDOUT = 4
"""Held-out samples: two in each half, so that each has a product pair."""
EPOCH_PARTNERS = 16
"""Product pairs per held-out sample when epochs are compared."""
READING_PARTNERS = 1023
"""Most product pairs per held-out sample in the reported value: all of them up to 1024 held-out samples."""
BATCHES_PER_EPOCH = 4
"""Least number of batches into which an epoch is divided; small data makes smaller batches."""
BELOW_ZERO = 0.5
"""Nats below 0 that a held-out value has by chance; information is never negative, so beyond them it is no estimate."""
PAST_LIMIT = 2.0
"""Nats above ln N_eval, on both halves, at which training ends: whatever comes later would be clipped all the same."""


@dataclass
class MutualInformation:
    """The result of one estimation.

    Attributes
    ----------
    value
        Nats: of a critic, an estimate in [0, limit]; `gaussian`, computed from a covariance, has no limit but where
        it is infinite; `saturation` is the limit itself and estimates nothing.
    raw
        Before clipping; None where it is infinite: of copies in closed form, and H of samples that all differ.
    samples
        N_eval, held-out samples that the value is read on; of `gaussian`, the samples that the covariance is of.
    limit
        ln ``samples``; of `infonce`, the logarithm of the candidates for each x, where they are fewer.
    curve
        By epoch, the critic's value on the two halves of the held-out samples.
    epochs
        The epochs that were read.
    seconds
        Wall time.
    """

    value: float
    raw: float | None
    samples: int
    limit: float
    curve: list[list[float]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    seconds: float = 0.0


def heldout_size(rows: int, options: InformationOptions) -> int:
    """N_eval: how many of ``rows`` samples an estimate is read on."""
    return max(LEAST_HELDOUT, min(round(rows * options.holdout), options.evaluation_samples))


def standardise(values: Tensor) -> Tensor:
    """Zero mean, unit variance in each column of (N, D); constant columns become zero. float32.

    Computed in double, some columns at a time, so that it takes little more memory than its result.
    """
    found = torch.empty(values.shape, dtype=torch.float32)
    for start in range(0, values.shape[1], COLUMNS):
        some = values[:, start : start + COLUMNS].double()
        spread, mean = torch.std_mean(some, 0, correction=0)
        constant = spread <= 1e-12 * mean.abs().clamp_min(1e-30)
        some = ((some - mean) / spread.masked_fill(constant, 1.0)).masked_fill(constant, 0.0)
        found[:, start : start + COLUMNS] = some
    return found


def split_rows(rows: int, options: InformationOptions, seed: int, repetition: int, name: str) -> tuple[Tensor, Tensor]:
    """Which rows the critic is fitted to, (N - N_eval,), and which it is read on, (N_eval,); none is in both.

    Repetition 0 reads on the first N_eval rows of a random order, repetition 1 on the next, and so on until the rows
    are used up: the mean over repetitions rests on as many samples as they have read in all.
    """
    count = heldout_size(rows, options)
    order = torch.randperm(rows, generator=_generator(seed, "holdout", name))
    start = repetition % (rows // count) * count
    return torch.cat([order[:start], order[start + count :]]), order[start : start + count]


def estimate(
    x: Tensor,
    z: Tensor,
    options: InformationOptions,
    *,
    seed: int,
    repetition: int,
    name: str,
    job: Job,
    state: dict[str, Any] | None = None,
    checkpoint: Callable[[Callable[[], dict[str, Any]]], None] | None = None,
    device: torch.device | None = None,
) -> MutualInformation:
    """I(x; z) in nats.

    Parameters
    ----------
    x, z
        (N, Dx) and (N, Dz), standardised, rows matched.
    seed, repetition, name
        Decide every random draw: the run's seed, which repetition, and what is estimated (``rna`` or ``rna|dna``).
    state
        Of an interrupted estimate, to go on from.
    checkpoint
        Called after every step with what returns the state; may raise to leave.

    Raises
    ------
    DataError
        Too few samples.
    NumericError
        The loss or the value became NaN or infinite, or H(x) is negative beyond chance.
    """
    if len(x) < LEAST_ROWS:
        raise DataError(
            "too few training samples to estimate information from",
            where=name,
            got=len(x),
            expected=f"at least {LEAST_ROWS} that have the modality (or both of a pair)",
        )
    if options.estimator == "saturation":
        return _closed(math.inf, heldout_size(len(x), options))
    if options.estimator == "gaussian":
        rows, _ = split_rows(len(x), options, seed, repetition, name)
        return _closed(gaussian_information(x[rows], z[rows]), len(rows))
    if "|" not in name and (known := entropy_at_limit(x, options, seed, repetition, name)) is not None:
        return known
    training = CriticTraining(x, z, options, seed, repetition, name, device or torch.device("cpu"))
    if state is not None:
        training.restore(state)
    label = f"{label_of(name)}, repetition {repetition + 1}"
    total = training.epochs * training.steps
    job.progress.begin(label, total, "steps", training.step_number, epochs=training.epochs)
    while not training.finished:
        figures = training.step()
        job.progress.advance(1, **figures)
        if checkpoint is not None:
            checkpoint(training.state)
    job.progress.end()
    found = training.result()
    if "|" not in name and is_below_zero(found):
        raise NumericError(
            f"the estimate of {label_of(name)} is negative: the critic learnt its samples by heart",
            where=label,
            got=f"{found.raw:.2f} nats on {found.samples} held-out samples",
            expected="above 0; of continuous data, near the logarithm of the number of held-out samples",
            do="--set information.input=pca, or encodings with --warmup FILE; fewer information.components; or "
            "information.estimator=saturation, which needs no critic",
        )
    return found


def entropy_at_limit(
    x: Tensor, options: InformationOptions, seed: int, repetition: int, name: str
) -> MutualInformation | None:
    """H(x) where one look at the held-out samples says that it reaches their limit; else None, for a critic.

    The critic T(x, x') = -c |x - x'| needs no training. As c grows, Equation 99's value of it tends to -ln p, p the
    share of product pairs whose samples are equal: of continuous data none are, and the entropy is beyond any limit.
    """
    _, held = split_rows(len(x), options, seed, repetition, name)
    alike = torch.unique(x[held], dim=0, return_counts=True)[1].double()
    limit = _limit(options, len(held))
    equal = float((alike * (alike - 1)).sum()) / (len(held) * (len(held) - 1))
    return MutualInformation(limit, None, len(held), limit) if equal <= math.exp(-limit) else None


def _limit(options: InformationOptions, count: int) -> float:
    """Nats that the value on so many samples cannot exceed: ln N_eval, or what InfoNCE has of a perfect critic."""
    return math.log(min(count, READING_PARTNERS + 1) if options.estimator == "infonce" else count)


def label_of(name: str) -> str:
    """``H(rna)`` or ``I(rna; dna)``, from ``rna`` or ``rna|dna``."""
    return f"{'I' if '|' in name else 'H'}({name.replace('|', '; ')})"


def is_below_zero(found: MutualInformation) -> bool:
    """Whether an estimate is negative beyond chance, and so none."""
    return found.raw is not None and found.raw < -BELOW_ZERO


def _closed(raw: float, samples: int) -> MutualInformation:
    """What has no critic: the Gaussian closed form, or infinity, in whose place stands ln N."""
    limit = math.log(samples)
    if math.isinf(raw):
        return MutualInformation(limit, None, samples, limit)
    return MutualInformation(max(raw, 0.0), raw, samples, limit)


class CriticTraining:
    """Training one critic, one step at a time; :meth:`state` after any step is all that :meth:`restore` needs to go on.

    Each random draw has a generator of its own, seeded with the run's seed, the repetition, the name and the step.
    No generator's state has to be saved, and a resumed training ends with the same bits as one that never stopped.
    """

    def __init__(
        self,
        x: Tensor,
        z: Tensor,
        options: InformationOptions,
        seed: int,
        repetition: int,
        name: str,
        device: torch.device,
    ) -> None:
        self.options, self.name, self._seed = options, name, derive_seed(seed, options.estimator, name, repetition)
        self._repetition = repetition
        fit, held = split_rows(len(x), options, seed, repetition, name)
        self._x, self._z = x[fit].to(device), z[fit].to(device)
        self._held = (x[held].to(device), z[held].to(device))
        self.batch = max(2, min(options.batch, len(fit) // BATCHES_PER_EPOCH))
        self.steps = len(fit) // self.batch
        self.epochs = max(options.epochs, math.ceil(options.least_steps / self.steps))
        self.estimator = critic_estimator(options.estimator, options.clip)
        self.critic = self._new_critic().to(device)
        self.average = self._new_critic().to(device).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.critic.parameters(), lr=options.lr, weight_decay=options.weight_decay, fused=True
        )
        self.step_number = 0
        self.log_average: float | None = None
        self.curve: list[list[float]] = []
        self.best: list[dict[str, Any]] = [{"epoch": -1, "value": -math.inf, "weights": {}} for _ in range(2)]
        self._order = torch.empty(0, dtype=torch.long)
        self._order_of = -1
        self._seconds = 0.0

    @property
    def limit(self) -> float:
        """Nats that the value cannot exceed."""
        return _limit(self.options, len(self._held[0]))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, none was better for ``patience`` epochs, or the limit is far behind."""
        if self.step_number >= self.epochs * self.steps:
            return True
        if not self.curve or self.step_number % self.steps:
            return False
        if min(self.curve[-1]) >= self.limit + PAST_LIMIT:
            return True
        stale = len(self.curve) - 1 - max(best["epoch"] for best in self.best)
        return self.options.patience is not None and stale >= self.options.patience

    def step(self) -> dict[str, float]:
        """One batch; at the end of an epoch, also the comparison on the held-out samples."""
        started = time.perf_counter()
        epoch, position = divmod(self.step_number, self.steps)
        rows = self._rows(epoch)[position * self.batch : (position + 1) * self.batch]
        scores = self.critic.pairs(self.critic.project(self._x[rows], self._z[rows]), self._shifts())
        joint, product = scores[0], scores[1:]
        self.log_average = update_log_average(self.log_average, product, self.options.ema)
        loss = self.estimator.loss(joint, product, self.log_average)
        value = self._finite(float(loss.detach()), "loss")
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.step_number += 1
        self._update_average()
        figures = {"loss": value}
        if position == self.steps - 1:
            figures["nats"] = self._compare(epoch)
        self._seconds += time.perf_counter() - started
        return figures

    def result(self) -> MutualInformation:
        """The value: the epoch best on one half of the held-out samples, read on the other half; and vice versa."""
        started = time.perf_counter()
        readings = []
        for half, best in enumerate(self.best):
            self.average.load_state_dict(best["weights"])
            readings.append(self._heldout_values(READING_PARTNERS)[1 - half])
        raw = self._finite(sum(readings) / 2.0, "held-out value")
        limit, samples = self.limit, len(self._held[0])
        seconds = self._seconds + time.perf_counter() - started
        epochs = [best["epoch"] for best in self.best]
        return MutualInformation(min(max(raw, 0.0), limit), raw, samples, limit, self.curve, epochs, seconds)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "critic": self.critic.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step_number,
            "log_average": self.log_average,
            "curve": self.curve,
            "best": self.best,
            "seconds": self._seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.critic.load_state_dict(state["critic"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step_number, self.log_average = state["step"], state["log_average"]
        self.curve, self.best, self._seconds = state["curve"], state["best"], state["seconds"]

    def _new_critic(self) -> Critic:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self._seed, "weights"))
            width_x, width_z = self._x.shape[1], self._z.shape[1]
            return Critic(width_x, width_z, self.options.hidden, self.options.critic == "bilinear")

    def _rows(self, epoch: int) -> Tensor:
        if self._order_of != epoch:
            self._order = torch.randperm(len(self._x), generator=_generator(self._seed, "shuffle", epoch))
            self._order = self._order.to(self._x.device)
            self._order_of = epoch
        return self._order

    def _shifts(self) -> list[int]:
        """Shift 0, the joint pairs, then ``partners`` consecutive shifts from 1 to B - 1, the product pairs."""
        partners = self.options.partners or (16 if self.options.estimator == "infonce" else 4)
        # Never 0 nor B among the product pairs: both are the joint pairs. Consecutive shifts will do, since the rows
        # of a batch come in random order; the first is drawn anew, so that no product pair is favoured.
        count = min(partners, self.batch - 1)
        start = 1 + derive_seed(self._seed, "shift", self.step_number) % (self.batch - count)
        return [0, *range(start, start + count)]

    @torch.no_grad()
    def _update_average(self) -> None:
        """The moving average of the critic's weights, which is what is read on held-out samples."""
        # At first it reaches back over a tenth of the steps so far, so that the initial weights are soon forgotten.
        decay = min(self.options.average, self.step_number / (self.step_number + 9.0))
        torch._foreach_lerp_([*self.average.parameters()], [*self.critic.parameters()], 1.0 - decay)

    def _compare(self, epoch: int) -> float:
        values = self._heldout_values(EPOCH_PARTNERS)
        self.curve.append(values)
        for best, value in zip(self.best, values, strict=True):
            if value > best["value"] or epoch == 0:
                weights = {name: weight.clone() for name, weight in self.average.state_dict().items()}
                best.update(epoch=epoch, value=value, weights=weights)
        return sum(values) / 2.0

    @torch.no_grad()
    def _heldout_values(self, partners: int) -> list[float]:
        """The estimator's value for the x of each half of the N_eval held-out samples, paired with z of all of them."""
        count = len(self._held[0])
        # Where fewer than all N_eval - 1 shifts are taken, they are spread over 1 to N_eval - 1: the first few would
        # give the x of a half z of the same half almost only, and the scores of both halves less in common.
        stride = max(1, (count - 1) // partners)
        shifts = [0, *range(1, count, stride)][: partners + 1]
        scores = self.average.pairs(self.average.project(*self._held), shifts)
        halves = (scores[:, : count // 2], scores[:, count // 2 :])
        values = [float(self.estimator.value(half[0], half[1:])) for half in halves]
        return [value if math.isfinite(value) else -math.inf for value in values]  # NWJ's exp may overflow

    def _finite(self, value: float, what: str) -> float:
        if math.isfinite(value):
            return value
        epoch, position = divmod(self.step_number, self.steps)
        raise NumericError(
            f"the {what} of {self.options.estimator} became {value}",
            where=f"{self.name}, repetition {self._repetition + 1}, epoch {epoch}, step {position} of {self.steps}",
            do="lower information.lr, or take another information.estimator (smile and infonce are the stablest)",
        )


def _generator(seed: int, *purpose: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))
