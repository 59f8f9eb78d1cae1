"""Random changes of training images and spectrograms, for a whole batch at once and on their device."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch.nn import functional

from omib_cli.nn.batch import Batch

RATIOS = (3 / 4, 4 / 3)
"""Width to height of a crop, log-uniform between these."""
TRIES = 10
"""Crops drawn for each image, of which the first that fits is taken."""


def random_view(images: torch.Tensor, least_area: float, flip: bool, batch: Batch) -> torch.Tensor:
    """A random part of each image, enlarged to the whole size, and mirrored for one image in two.

    The usual random resized crop: area uniform in [``least_area``, 1], aspect ratio log-uniform in ``RATIOS``, place
    uniform, bilinear. Where none of ``TRIES`` crops fits, the first is cut down to the image.

    Parameters
    ----------
    images
        (N, C, H, W) floating point.
    least_area
        Smallest share of an image's area; 1 leaves it whole.
    flip
        Whether to mirror left and right.
    batch
        The samples that the images belong to, equally many consecutive ones to each.

    Returns
    -------
    torch.Tensor
        (N, C, H, W).
    """
    count, _, rows, columns = images.shape
    theta = images.new_zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1.0
    if least_area < 1.0:
        width, height = _sizes(count, least_area, rows / columns, images, batch)
        theta[:, 0, 0], theta[:, 1, 1] = width, height
        places = 2 * batch.draw(lambda shape: torch.rand(shape, device=images.device), (2, count), dim=1) - 1
        theta[:, 0, 2], theta[:, 1, 2] = (1 - width) * places[0], (1 - height) * places[1]
    if flip:
        theta[:, 0, 0] *= 1 - 2 * batch.draw(lambda shape: torch.randint(2, shape, device=images.device), (count,))
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def random_warp(spectrograms: torch.Tensor, most: float, batch: Batch) -> torch.Tensor:
    """Stretch frequency and time of each spectrogram, and shift it in time: other voices, speaking otherwise.

    Frequencies are multiplied by a factor uniform in [1 - ``most``, 1 + ``most``], as by another vocal tract (Jaitly
    and Hinton 2013), times likewise, and moved by up to ``most`` of half the length. What comes in from outside is the
    edge.

    Parameters
    ----------
    spectrograms
        (N, 1, F, T), the lowest frequency first.

    Returns
    -------
    torch.Tensor
        (N, 1, F, T).
    """
    numbers = batch.draw(lambda shape: torch.rand(shape, device=spectrograms.device), (3, len(spectrograms)), dim=1)
    factors = 1 + most * (2 * numbers - 1)
    theta = spectrograms.new_zeros(len(spectrograms), 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = factors[0], factors[1] - 1
    theta[:, 1, 1], theta[:, 1, 2] = factors[2], factors[2] - 1  # 0 Hz stays where it is
    grid = functional.affine_grid(theta, list(spectrograms.shape), align_corners=False)
    return functional.grid_sample(spectrograms, grid, padding_mode="border", align_corners=False)


def _sizes(
    count: int, least_area: float, shape: float, like: torch.Tensor, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Width and height of a crop for each image, as shares of the image's; ``shape`` is the image's height to width."""

    def between(low: float, high: float) -> torch.Tensor:
        draw = partial(_uniform, low, high, like.device)
        return batch.draw(draw, (TRIES, count), dim=1)

    area = between(least_area, 1.0)
    log_ratio = between(math.log(RATIOS[0]), math.log(RATIOS[1]))
    half = torch.exp(0.5 * log_ratio)
    width, height = area.sqrt() * half * math.sqrt(shape), area.sqrt() / half / math.sqrt(shape)
    first = ((width <= 1) & (height <= 1)).float().argmax(dim=0, keepdim=True)
    return width.gather(0, first)[0].clamp(max=1.0), height.gather(0, first)[0].clamp(max=1.0)


def _uniform(low: float, high: float, device: torch.device, shape: list[int]) -> torch.Tensor:
    return torch.empty(shape, device=device).uniform_(low, high)
