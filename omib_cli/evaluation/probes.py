"""Recovery of what is known to be in simulated data: how well each part can be read from the embedding, linearly.

Of a task-relevant part a_i what matters to the label is its projection on delta, one number; a superfluous part b_i
has no direction of its own, so that all its columns are read, and the score is pooled over them.
Notation: N samples, k width of the embedding, q columns of a target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
PENALTIES = tuple(10.0**power for power in range(-2, 7))
"""Ridge penalties, of which cross-validation inside each training part picks one."""
LEAST_SAMPLES = 50
"""Fewer samples say nothing about what can be read."""
MOST_SAMPLES = 5_000
"""Samples that are probed at most, the first of a split: R² is then known to about .01, and more take minutes."""


@dataclass(frozen=True)
class Recovery:
    """Cross-validated R² of a linear probe, of the same when the target's samples are shuffled, and their number."""

    r2: float
    control: float
    samples: int

    def plain(self) -> dict[str, float]:
        """As JSON has it."""
        return {"r2": self.r2, "permuted": self.control, "samples": self.samples}


def recover(
    embedding: NDArray[np.floating], targets: Mapping[str, NDArray[np.floating]], seed: int
) -> dict[str, Recovery]:
    """Probe an embedding (N, k) for each target (N, q), all of at most ``MOST_SAMPLES`` rows.

    Nothing where there are too few samples.
    """
    if not targets or len(embedding) < LEAST_SAMPLES:
        return {}
    inputs = _standardised(np.asarray(embedding[:MOST_SAMPLES], dtype=np.float64))
    shuffled = np.random.default_rng(seed).permutation(len(inputs))
    found = {}
    for name, target in targets.items():
        values = np.asarray(target[:MOST_SAMPLES], dtype=np.float64)
        found[name] = Recovery(_r2(inputs, values, seed), _r2(inputs, values[shuffled], seed), len(inputs))
    return found


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(scale > 0, scale, 1.0))


def _r2(inputs: NDArray[np.float64], target: NDArray[np.float64], seed: int) -> float:
    """1 - held-out squared error / squared error of the training part's mean, over all columns together."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold

    error = spread = 0.0
    for fit, held in KFold(FOLDS, shuffle=True, random_state=seed % 2**32).split(inputs):
        model = RidgeCV(PENALTIES).fit(inputs[fit], target[fit])
        error += float(np.square(model.predict(inputs[held]).reshape(target[held].shape) - target[held]).sum())
        spread += float(np.square(target[held] - target[fit].mean(axis=0)).sum())
    return 1.0 - error / spread
