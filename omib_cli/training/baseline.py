"""The baseline hazard of a trained model that predicts survival: fitted on the training split, carried by the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset import Dataset
from omib_cli.data.samples import read_samples
from omib_cli.runtime.seeds import derive_seed
from omib_cli.tasks.hazard import Baseline, fit_baseline
from omib_cli.tasks.survival import Survival
from omib_cli.training.model import MultimodalModel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@torch.no_grad()
def fit_survival(model: MultimodalModel, data: Dataset, seed: int) -> dict[str, NDArray[Any]]:
    """The baseline of the fused prediction, by the names under which a model carries it; nothing of other tasks."""
    if not isinstance(model.task, Survival):
        return {}
    model.eval()
    rows, device = data.rows("train"), next(model.parameters()).device
    torch.manual_seed(derive_seed(seed, "baseline"))  # for methods that draw at inference
    outputs = [
        model.fuse(batch).output.float().cpu().numpy()
        for block in data.blocks(rows)
        for samples in [read_samples(data, block, device)]
        for batch in samples.batches(samples.inference_batch)
    ]
    found = fit_baseline(model.task.scores(np.concatenate(outputs))[:, 0], data.labels(rows))
    return {fmt.SURVIVAL + name: values for name, values in found.arrays().items()}


def baseline_of(carried: Mapping[str, NDArray[Any]]) -> Baseline | None:
    """The baseline that a model carries, if it is one of survival."""
    own = {name.removeprefix(fmt.SURVIVAL): value for name, value in carried.items() if name.startswith(fmt.SURVIVAL)}
    return Baseline.of(own) if own else None
