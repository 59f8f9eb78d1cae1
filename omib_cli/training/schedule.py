"""Learning-rate schedules as plain functions of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from omib_cli.encoders.base import Encoder
from omib_cli.recipe.phases import OptimiserOptions, ScheduleOptions


def rate_factor(options: ScheduleOptions, step: int, steps_per_epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied by at a step (counted from 0) of a phase."""
    rise = min(1.0, (step + 1) / options.warmup_steps) if options.warmup_steps else 1.0
    if options.kind == "step":
        return rise * options.factor ** (step // steps_per_epoch // options.every)
    if options.kind == "cosine":
        return rise * 0.5 * (1.0 + math.cos(math.pi * step / max(1, steps_per_epoch * epochs)))
    return rise


def parameter_groups(model: nn.Module, encoders: Iterable[Encoder], rate: float) -> list[dict[str, Any]]:
    """What an optimiser trains, by learning rate: the phase's ``rate`` first, then each encoder that has its own.

    Parameters that take no gradient (frozen layers) are left out.
    """
    own = [(encoder.lr, list(encoder.own_rate())) for encoder in encoders if encoder.lr is not None]
    apart = {id(parameter) for _, parameters in own for parameter in parameters}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    every = [(rate, rest), *own]
    return [
        {"params": trained, "lr": lr}
        for lr, parameters in every
        if (trained := [parameter for parameter in parameters if parameter.requires_grad])
    ]


def make_optimiser(options: OptimiserOptions, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """A fresh optimiser of :func:`parameter_groups`: torch's, all parameters in one kernel where the device has it."""
    fused = groups[0]["params"][0].device.type in ("cpu", "cuda") if groups else False
    decay = options.weight_decay
    if options.kind == "sgd":
        return torch.optim.SGD(groups, weight_decay=decay, momentum=options.momentum, fused=fused)
    kind = torch.optim.Adam if options.kind == "adam" else torch.optim.AdamW
    return kind(groups, weight_decay=decay, fused=fused)
