"""Pretrained ResNet weights from a folder in the ``transformers`` library's format; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from omib_cli.errors import DataError

FILE = "model.safetensors"
STEM = "embedder."
COUNTER = "num_batches_tracked"
"""Of batch normalisation; not a weight, and some files leave it out."""


def read_weights(
    folder: str, own: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], dict[str, tuple[int, ...]]]:
    """The weights of a network, for loading, and the shapes of those of its stem that do not fit.

    Parameters
    ----------
    folder
        With ``model.safetensors``, of ``ResNetModel`` or of a classifier made from it.
    own
        The network's weights as they are; those of the stem are left out where the file's have another shape (other
        input channels, or the small stem).

    Raises
    ------
    DataError
        The folder or file is missing, damaged, or holds another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / FILE
    if not path.is_file():
        raise DataError(
            "no pretrained weights",
            where=path,
            got="a folder without this file" if Path(folder).is_dir() else "no such folder",
            expected="ResNet-18 in the transformers library's format",
            do=f"on a machine with network: hf download microsoft/resnet-18 --local-dir {Path(folder).name}, and copy "
            "the folder here; or leave `weights` out to train from scratch",
        )
    try:
        found = {name.removeprefix("resnet."): value for name, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise DataError("the pretrained weights cannot be read", where=path, got=error, do="copy them again") from error
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    unfit = [name for name in own if name not in fitting and COUNTER not in name]
    left = {name: tuple(found[name].shape) for name in unfit if name.startswith(STEM) and name in found}
    lacking = [name for name in unfit if name not in left]
    if lacking:
        there = found.get(lacking[0])
        raise DataError(
            "the pretrained weights are of another network",
            where=path,
            got=f"{lacking[0]}: {'missing' if there is None else tuple(there.shape)}",
            expected=f"{tuple(own[lacking[0]].shape)}, as in ResNet-18 with the recipe's `channels`",
            do="name a folder of ResNet-18 (microsoft/resnet-18)",
        )
    return fitting, left
