"""The two phases: Algorithm 1 (warm-up, each modality alone) and Algorithm 2 (main training)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from omib_cli.data.samples import Split
from omib_cli.distributed import processes
from omib_cli.nn.batch import common_counts
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.tasks import AnomalyOptions
from omib_cli.runtime.seeds import derive_seed
from omib_cli.training.divergence import diverged
from omib_cli.training.loop import Phase
from omib_cli.training.model import MultimodalModel
from omib_cli.training.one_class import must_not_collapse, set_centres
from omib_cli.training.step import Losses


def _finite(loss: float, phase: str) -> float:
    """A validation loss, refused where it is no number: the weights may be finite, and too large to predict with."""
    if not math.isfinite(loss):
        raise diverged("the validation loss", f"phase {phase}", phase)
    return loss


def _one_class(
    model: MultimodalModel, recipe: Recipe, losses: Losses, *, fused: bool
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

    def validate(split: Split) -> dict[str, float]:
        counts = common_counts(split.present)  # of all: a mean over blocks would depend on where they are cut
        loss = 0.0
        for samples in split.batches(split.inference_batch):
            among = samples.batch.among(counts, len(split))
            loss += model.warmup_losses(samples.values, among).total.item()
        return {"loss": _finite(loss, "warmup")}

    around = _one_class(model, recipe, model.warmup_losses, fused=False)
    return Phase("warmup", recipe.warmup, model.warmup_losses, validate, **around)


def _outputs(model: MultimodalModel, split: Split, seed: int) -> torch.Tensor:
    """Outputs (N, C) of a split in its order; of several processes each computes some of the blocks.

    Methods that draw at inference draw for each block anew, so that it does not matter who computes it.
    """
    world_size, rank = processes.world_size(), processes.rank()
    own = {}
    for turn, samples in enumerate(split.batches(split.inference_batch)):
        if turn % world_size == rank:
            torch.manual_seed(derive_seed(seed, "train", "validation", turn))
            own[turn] = model.fuse(samples).output
    every = {turn: found for part in processes.all_gather(own) for turn, found in part.items()}
    return torch.cat([every[turn].to(own[rank].device if own else "cpu") for turn in sorted(every)])


def main_phase(model: MultimodalModel, recipe: Recipe) -> Phase:
    """Algorithm 2, or the only phase of a method without warm-up; validated by the task's loss, without noise."""

    def validate(samples: Split) -> dict[str, float]:
        outputs = _outputs(model, samples, recipe.seed)
        loss = _finite(model.task.loss(outputs, samples.labels.to(outputs.device)).mean().item(), "train")
        scores = model.task.scores(outputs.float().cpu().numpy())
        metric = model.task.headline(scores, samples.labels.cpu().numpy().astype(np.float64))
        return {"loss": loss} | ({model.task.main_metric: metric} if math.isfinite(metric) else {})

    around = _one_class(model, recipe, model.losses, fused=True)
    return Phase("train", recipe.main_phase, model.losses, validate, **around)
