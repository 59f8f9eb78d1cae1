"""What one-class training needs around the loop: centres set once for each phase, and a watch for collapse.

Deep SVDD's objective has a solution that knows nothing: every sample at the centre. Fixed centres and layers without
biases stand against it (choices F1-F3); whether they held is looked at after every epoch.
"""

from __future__ import annotations

import math

import torch

from omib_cli.data.samples import Split
from omib_cli.errors import NumericError
from omib_cli.recipe.tasks import AnomalyOptions
from omib_cli.tasks.head import CentredHead
from omib_cli.training.model import MultimodalModel
from omib_cli.training.step import Losses

WATCHED = 1024
"""Training samples that the watch looks at."""


def set_centres(model: MultimodalModel, losses: Losses, train: Split, options: AnomalyOptions) -> None:
    """Set every head's centre to the mean of its outputs over the training split, noise included (choice F5).

    A branch's head is centred on the samples that have its modality.

    Parameters
    ----------
    losses
        The phase's, so that the heads see what they will see in it.
    """
    heads = [module for module in model.modules() if isinstance(module, CentredHead)]
    for head in heads:
        head.collect()
    for _ in range(options.centre_draws):
        for samples in train.batches(train.inference_batch):
            losses(samples.values, samples.batch)
    for head in heads:
        head.settle(options.epsilon)


def must_not_collapse(model: MultimodalModel, train: Split, options: AnomalyOptions, *, fused: bool) -> None:
    """Refuse to go on once samples can no longer be told apart.

    Looks at the encodings of the samples that have the modality, and where ``fused`` is set at the embedding and its
    head's output relative to the centre: their standard deviation over samples, relative to their size. (Small
    distances are what training is for; equal ones are not.)

    Raises
    ------
    NumericError
        It is below ``task.least_spread``.
    """
    samples = next(train.batches(min(WATCHED, train.inference_batch)))
    batch = samples.batch
    encodings = zip(model.names, model.encode(samples.values, batch), strict=True)
    watched = {f"the encoding of {name}": z[batch.has(i)] for i, (name, z) in enumerate(encodings)}
    if fused:
        result = model.fuse(samples)
        watched |= {"the embedding": result.embedding, "the distance from the centre": result.output}
    for what, values in watched.items():
        spread = relative_spread(values) if len(values) > 1 else math.inf
        if not spread >= options.least_spread:
            raise NumericError(
                f"{what} has collapsed: all samples look alike",
                got=f"a standard deviation over samples of {spread:.2g} of its size",
                expected=f"at least {options.least_spread:g} (task.least_spread)",
                do="fewer epochs, a smaller learning rate or weight decay, or a smaller beta",
            )


def relative_spread(values: torch.Tensor) -> float:
    """Root mean square deviation of (B, C) from the mean over samples, relative to the root mean square; 0 for 0."""
    values = values.detach().double()
    size = values.square().mean().sqrt()
    deviation = (values - values.mean(dim=0)).square().mean().sqrt()
    return float(deviation / size) if size > 0 else 0.0
