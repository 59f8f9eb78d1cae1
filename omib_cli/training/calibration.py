"""What a model says and how far it may be trusted, from the samples that trained nothing: the validation split.

Temperatures (Guo et al. 2017) make class probabilities mean what they say: a head's logits divided by one number, which
changes no prediction. Split-conformal sets and intervals (Vovk et al. 2005; of classes, the least ambiguous ones of
Sadinle et al. 2019) hold the truth of a new sample with at least the probability that is asked for, if it is
exchangeable with the validation samples. Where these chose the epoch that was kept, both are a little optimistic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import Dataset
from omib_cli.data.samples import read_samples
from omib_cli.errors import UsageError
from omib_cli.nn.batch import Batch
from omib_cli.runtime.seeds import derive_seed
from omib_cli.training.model import MultimodalModel
from omib_cli.training.novelty import some_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENOUGH = 20
"""Validation samples by which a temperature can be judged."""
LEVEL = 0.9
"""Coverage of sets and intervals where none is asked for."""
COLDEST, HOTTEST = 0.05, 20.0
"""Between these the temperature is looked for."""
FUSED = ""
"""The name of the fused head among temperatures; each other head is called after its modality."""
DRAWS = 16
"""Of what the bottlenecks let through, by which predicted values vary."""
_TEMPERATURE, _HELD = fmt.CALIBRATION + "temperature.", fmt.CALIBRATION + "held"
_DRAWN = fmt.CALIBRATION + "drawn"


@dataclass(frozen=True)
class Calibration:
    """What a model carries of its validation samples.

    Attributes
    ----------
    temperatures
        By head.
    held
        How unlike its truth the prediction of each of them is (n,), increasing; see :meth:`Task.nonconformity`.
    drawn
        Of predicted values, their variance over draws, averaged over these samples; None of other tasks.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    held: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    drawn: float | None = None

    @property
    def noise(self) -> float | None:
        """The standard deviation of a value about its prediction, but for what differs among draws; None if unknown."""
        if self.drawn is None or self.chosen_level(None) is None:
            return None
        return math.sqrt(max(float(np.mean(self.held**2)) - self.drawn, 0.0))

    def temperature(self, head: str) -> float:
        """What to divide a head's logits by; 1 where nothing is known."""
        return self.temperatures.get(head, 1.0)

    def reach(self, level: float) -> float:
        """How unlike its truth a new sample's prediction is at most, with probability ``level``.

        Raises
        ------
        UsageError
            The level is no probability, or more than so few validation samples can vouch for.
        """
        if not 0.0 < level < 1.0:
            raise UsageError("a level is a probability", got=level, expected="more than 0 and less than 1")
        count = len(self.held)
        rank = math.ceil((count + 1) * level - 1e-9)
        if rank > count:
            raise UsageError(
                f"the model cannot promise a coverage of {level:g}",
                got=f"{count} validation samples when it was trained",
                expected=f"{math.ceil(level / (1.0 - level) - 1e-9)} or more",
                do="a lower --level, or a model that is trained with a larger validation split",
            )
        return float(self.held[rank - 1])

    def chosen_level(self, wanted: float | None) -> float | None:
        """The level of sets and intervals: ``wanted``, or the usual one where it can be had; refuses as reach does."""
        if wanted is None:
            return LEVEL if len(self.held) >= LEVEL / (1.0 - LEVEL) - 1e-9 else None
        self.reach(wanted)
        return wanted


def fit_temperature(logits: NDArray[np.floating[Any]], labels: NDArray[np.float64]) -> float:
    """The T at which softmax(logits / T) of (N, C) predicts labels (N,) best, by log-likelihood.

    Targets are those of Platt (1999): a little less than certain, the less the more samples there are, so that
    samples which are all predicted right do not say that the network can never be wrong.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    count, classes = logits.shape
    targets = np.full((count, classes), 1.0 / (count + classes))
    targets[np.arange(count), labels.astype(np.intp)] = (count + 1.0) / (count + classes)
    own = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        return -float((targets * log_softmax(own / math.exp(log_temperature), axis=1)).sum(axis=1).mean())

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)


@torch.no_grad()
def fit_calibration(model: MultimodalModel, data: Dataset, seed: int) -> dict[str, NDArray[Any]]:
    """What is learnt of the validation split, by the names under which a model carries it; empty without one."""
    model.eval()
    blocks = some_blocks(list(data.blocks(data.rows("validation"))), seed)
    if not blocks:
        return {}
    labels = np.concatenate([data.labels(rows) for rows in blocks])
    outputs = _outputs(model, data, blocks, seed)
    held = model.task.nonconformity(model.task.scores(outputs[FUSED]), labels)
    found = {} if held is None else {_HELD: np.sort(held)}
    if held is not None and not model.task.has_logits:
        found[_DRAWN] = np.array([_mean_draw_variance(model, data, blocks)])
    if model.task.has_logits:
        for head, logits in outputs.items():
            there = np.isfinite(logits).all(axis=1)
            if there.sum() >= ENOUGH:
                found[_TEMPERATURE + head] = np.array([fit_temperature(logits[there], labels[there])])
    return found


def calibration_of(carried: Mapping[str, NDArray[Any]]) -> Calibration:
    """What a model carries; models of earlier versions, and those without a validation split, carry nothing."""
    temperatures = {
        name.removeprefix(_TEMPERATURE): float(value[0])
        for name, value in carried.items()
        if name.startswith(_TEMPERATURE)
    }
    drawn = float(carried[_DRAWN][0]) if _DRAWN in carried else None
    return Calibration(temperatures, carried.get(_HELD, np.zeros(0)), drawn)


def draw_variance(model: MultimodalModel, encodings: Sequence[torch.Tensor], batch: Batch) -> NDArray[np.float64]:
    """Variance (B,) of the predicted values over draws of what the bottlenecks let through; zeros if there are none."""
    outputs = model.fusion.outputs_of_draws(encodings, batch, DRAWS)
    if outputs is None:
        return np.zeros(len(encodings[0]))
    values = [model.task.prediction(model.task.scores(each.float().cpu().numpy())) for each in outputs]
    return np.asarray(np.var(values, axis=0))


def _mean_draw_variance(model: MultimodalModel, data: Dataset, blocks: list[range]) -> float:
    device = next(model.parameters()).device
    found = []
    for rows in blocks:
        samples = read_samples(data, rows, device)
        parts = samples.batches(samples.inference_batch)
        found += [draw_variance(model, model.encode(part.values, part.batch), part.batch) for part in parts]
    return float(np.concatenate(found).mean())


def _outputs(model: MultimodalModel, data: Dataset, blocks: list[range], seed: int) -> dict[str, NDArray[np.float32]]:
    """Outputs (N, C) of each head, NaN in the samples that lack a branch's modality."""
    device = next(model.parameters()).device
    pieces: dict[str, list[NDArray[np.float32]]] = {}
    for rows in blocks:
        samples = read_samples(data, rows, device)
        torch.manual_seed(derive_seed(seed, "calibration", rows.start))  # for methods that draw at inference
        for batch in samples.batches(samples.inference_batch):
            fused = model.fuse(batch)
            heads = {FUSED: fused.output}
            for i, name in enumerate(model.names):
                if name in fused.branch_outputs:
                    heads[name] = fused.branch_outputs[name].masked_fill(~batch.present[:, i, None], torch.nan)
            for head, output in heads.items():
                pieces.setdefault(head, []).append(output.float().cpu().numpy())
    return {head: np.concatenate(own) for head, own in pieces.items()}
