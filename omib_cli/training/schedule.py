"""Learning-rate schedules as plain functions of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

import torch

from omib_cli.recipe.training import OptimiserOptions, ScheduleOptions


def rate_factor(options: ScheduleOptions, step: int, steps_per_epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied by at a step (counted from 0) of a phase."""
    rise = min(1.0, (step + 1) / options.warmup_steps) if options.warmup_steps else 1.0
    if options.kind == "step":
        return rise * options.factor ** (step // steps_per_epoch // options.every)
    if options.kind == "cosine":
        return rise * 0.5 * (1.0 + math.cos(math.pi * step / max(1, steps_per_epoch * epochs)))
    return rise


def make_optimiser(options: OptimiserOptions, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """A fresh optimiser; the fused kernels update all parameters at once."""
    if options.kind == "sgd":
        return torch.optim.SGD(
            parameters, lr=options.lr, weight_decay=options.weight_decay, momentum=options.momentum, fused=True
        )
    kind = torch.optim.Adam if options.kind == "adam" else torch.optim.AdamW
    return kind(parameters, lr=options.lr, weight_decay=options.weight_decay, fused=True)
