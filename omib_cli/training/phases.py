"""The two phases: Algorithm 1 (warm-up, each modality alone) and Algorithm 2 (main training)."""

from __future__ import annotations

import numpy as np
import torch

from omib_cli.data.samples import Samples
from omib_cli.recipe.schema import Recipe
from omib_cli.training.loop import Phase
from omib_cli.training.model import MultimodalModel


def warmup_phase(model: MultimodalModel, recipe: Recipe) -> Phase:
    """Algorithm 1: encoders and branches on [z_i, noise]; validated by the same loss with noise that never changes."""

    def validate(samples: Samples) -> dict[str, float]:
        batches = samples.batches(samples.inference_batch)
        total = sum(model.warmup_losses(batch).total.item() * len(batch) for batch in batches)
        return {"loss": total / len(samples)}

    return Phase("warmup", recipe.warmup, model.warmup_losses, validate)


def main_phase(model: MultimodalModel, recipe: Recipe) -> Phase:
    """Algorithm 2: everything at once; validated by the embedding's task loss, without noise."""

    def validate(samples: Samples) -> dict[str, float]:
        outputs = torch.cat([model.fuse(batch).output for batch in samples.batches(samples.inference_batch)])
        loss = model.task.loss(outputs, samples.labels).mean().item()
        readable = model.task.readable(outputs.cpu().numpy())
        metrics = model.task.metrics(readable, samples.labels.cpu().numpy().astype(np.float64))
        return {"loss": loss, model.task.main_metric: metrics[model.task.main_metric]}

    return Phase("train", recipe.train, model.losses, validate)
