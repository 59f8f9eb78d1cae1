"""The two phases: Algorithm 1 (warm-up, each modality alone) and Algorithm 2 (main training)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch

from omib_cli.data.samples import Samples, Split
from omib_cli.distributed import processes
from omib_cli.fusion.base import StepLosses
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.tasks import AnomalyOptions
from omib_cli.training.loop import Phase
from omib_cli.training.model import MultimodalModel
from omib_cli.training.one_class import must_not_collapse, set_centres


def _one_class(
    model: MultimodalModel, recipe: Recipe, losses: Callable[[Samples], StepLosses], *, fused: bool
) -> dict[str, Callable[[Split], None]]:
    """What surrounds a phase of one-class training; nothing for other tasks."""
    options = recipe.task
    if not isinstance(options, AnomalyOptions):
        return {}
    return {
        "start": lambda train: set_centres(model, losses, train, options),
        "watch": lambda train: must_not_collapse(model, train, options, fused=fused),
    }


def warmup_phase(model: MultimodalModel, recipe: Recipe) -> Phase:
    """Algorithm 1: encoders and branches on [z_i, noise]; validated by the same loss with noise that never changes."""

    def validate(samples: Split) -> dict[str, float]:
        batches = samples.batches(samples.inference_batch)
        total = sum(model.warmup_losses(batch).total.item() * len(batch) for batch in batches)
        return {"loss": total / len(samples)}

    around = _one_class(model, recipe, model.warmup_losses, fused=False)
    return Phase("warmup", recipe.warmup, model.warmup_losses, validate, **around)


def _outputs(output: Callable[[Samples], torch.Tensor], batches: Iterable[Samples]) -> torch.Tensor:
    """Outputs (N, C) of all batches in their order; of several processes each computes some of the batches."""
    count, rank = processes.world_size(), processes.rank()
    own = {turn: output(batch) for turn, batch in enumerate(batches) if turn % count == rank}
    every = {turn: found for part in processes.all_gather(own) for turn, found in part.items()}
    return torch.cat([every[turn].to(own[rank].device if own else "cpu") for turn in sorted(every)])


def main_phase(model: MultimodalModel, recipe: Recipe) -> Phase:
    """Algorithm 2, or the only phase of a method without warm-up; validated by the task's loss, without noise."""

    def validate(samples: Split) -> dict[str, float]:
        batches = samples.batches(samples.inference_batch)
        outputs = _outputs(lambda batch: model.fuse(batch).output, batches)
        loss = model.task.loss(outputs, samples.labels.to(outputs.device)).mean().item()
        scores = model.task.scores(outputs.float().cpu().numpy())
        metrics = model.task.metrics(scores, samples.labels.cpu().numpy().astype(np.float64))
        metric = metrics[model.task.main_metric]
        return {"loss": loss} | ({model.task.main_metric: metric} if math.isfinite(metric) else {})

    around = _one_class(model, recipe, model.losses, fused=True)
    return Phase("train", recipe.main_phase, model.losses, validate, **around)
