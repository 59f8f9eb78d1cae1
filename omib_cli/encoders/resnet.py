"""ResNet-18 for images, video frames and spectrograms (He et al. 2016; Appendices H and I).

Built from the ``transformers`` library's ``ResNetModel`` with basic layers, so that weights in its format load.
Without the final linear layer, at 64 channels and with the standard stem, it has 11,176,512 parameters for 3 input
channels and 11,170,240 for 1; with the small stem 11,168,832 and 11,167,680. Half the channels, a quarter of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from omib_cli.encoders.augmentation import random_view, random_warp
from omib_cli.encoders.base import Encoder
from omib_cli.encoders.resnet_weights import STEM, read_weights
from omib_cli.errors import RecipeError
from omib_cli.nn.batch import Batch
from omib_cli.recipe.encoders import ResNetOptions

STAGES = 4
RGB_MEAN, RGB_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's training images in [0, 1], to which images of three channels are standardised."""


class ResNetEncoder(Encoder):
    """Images (B, C, H, W), video (B, T, C, H, W) or spectrograms (B, F, T) to (B, d).

    Bytes become shares of 255, and images of three channels are standardised as those of ImageNet. The T frames of a
    video go through the network side by side; their feature maps are averaged over time and space. The result, 8 times
    ``options.channels`` wide, is the encoding itself, or goes through a linear layer where ``options.width`` differs.

    Raises
    ------
    RecipeError
        Options that do not suit the modality: cropped spectrograms, more frames than are stored.
    """

    kinds = ("image", "video", "spectrogram")
    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(
        self,
        options: ResNetOptions,
        shape: tuple[int, ...],
        config: Mapping[str, Any] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(options, shape, config, bias)
        _must_suit(options, shape)
        self.options = options
        channels = 1 if len(shape) == 2 else shape[-3]
        self.network = _network(options, channels)
        features = options.channels * 2 ** (STAGES - 1)
        self.project = nn.Identity() if options.width == features else _linear(features, options.width, bias)
        mean, sd = (RGB_MEAN, RGB_SD) if channels == 3 else ((0.0,) * channels, (1.0,) * channels)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(sd).view(-1, 1, 1), persistent=False)

    def load_pretrained(self) -> str | None:
        """Load the folder that the options name; a stem of another shape keeps its initial weights, in words.

        Raises
        ------
        DataError
            The folder is missing or holds another network.
        """
        if self.options.weights is None:
            return None
        own = self.network.state_dict()
        weights, left = read_weights(self.options.weights, own)
        self.network.load_state_dict(weights, strict=False)
        if not left:
            return None
        name, theirs = next(iter(left.items()))
        return (
            f"the first layers ({STEM}*) of {self.options.weights} do not fit and start from scratch: {name} has the "
            f"shape {theirs} there and {tuple(own[name].shape)} here (a `small` stem, or other channels than RGB)"
        )

    def forward(self, x: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, *shape) to (B, d).

        Raises
        ------
        RecipeError
            A whole batch of a single sample in training, over which batch normalisation has no spread.
        """
        if self.training and len(x) < 2 and batch.is_whole:
            raise RecipeError("modalities", ["resnet: batch normalisation needs 2 samples in a batch: raise `batch`"])
        if x.ndim == 3:
            sound = x.unsqueeze(1)
            warped = self.training and self.options.warp > 0.0
            return self._encode(random_warp(sound, self.options.warp, batch) if warped else sound)
        if x.ndim == 4:
            return self._encode(self._standardised(x, batch))
        frames = self._picked(x, batch)
        encoded = self._encode(self._standardised(frames.flatten(0, 1), batch))
        return encoded.view(len(x), frames.shape[1], -1).mean(dim=1)

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, d); the projection is linear, so frames may be averaged after it.

        A single image, which is all that a process may have of a small batch, is normalised as in inference.
        """
        if self.network.training != (by_batch := self.training and len(images) > 1):
            self.network.train(by_batch)
        pooled = self.network(images).pooler_output.flatten(1)
        encoding: torch.Tensor = self.project(pooled)
        return encoding

    def _standardised(self, images: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(N, C, H, W) uint8 to floating point, changed at random in training."""
        scaled = images.float() / 255
        if self.training and (self.options.crop < 1.0 or self.options.flip):
            scaled = random_view(scaled, self.options.crop, self.options.flip, batch)
        return (scaled - self.mean) / self.sd

    def _picked(self, video: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The frames that enter: (B, T, C, H, W) to (B, frames, C, H, W), in order of time."""
        stored, wanted = video.shape[1], self.options.frames
        if wanted is None or wanted == stored:
            return video
        if self.options.frame_pick == "first":
            return video[:, :wanted]
        if not self.training:
            middles = (torch.arange(wanted, device=video.device) + 0.5) * stored / wanted
            return video[:, middles.long()]
        numbers = batch.draw(lambda shape: torch.rand(shape, device=video.device), video.shape[:2])
        order = numbers.argsort(dim=1)[:, :wanted].sort(dim=1).values
        return video[torch.arange(len(video), device=video.device).unsqueeze(1), order]


def _must_suit(options: ResNetOptions, shape: tuple[int, ...]) -> None:
    problems = []
    if len(shape) == 2 and (options.crop < 1.0 or options.flip):
        problems.append("resnet: `crop` and `flip` are for images; a spectrogram has `warp`")
    if len(shape) != 2 and options.warp > 0.0:
        problems.append("resnet: `warp` is for spectrograms")
    if options.frames is not None and len(shape) != 4:
        problems.append("resnet: `frames` is for video")
    if options.frames is not None and len(shape) == 4 and options.frames > shape[0]:
        problems.append(f"resnet: `frames: {options.frames}`, but the dataset has {shape[0]} of each clip")
    if problems:
        raise RecipeError("modalities", problems)


def _network(options: ResNetOptions, channels: int) -> nn.Module:
    """ResNet-18 from scratch: convolutions Kaiming-normal by fan-out, batch normalisation 1 and 0."""
    from transformers import ResNetConfig, ResNetModel

    sizes = [options.channels * 2**stage for stage in range(STAGES)]
    network: Any = ResNetModel(
        ResNetConfig(
            num_channels=channels,
            embedding_size=sizes[0],
            hidden_sizes=sizes,
            depths=[2] * STAGES,
            layer_type="basic",
            hidden_act="relu",
        )
    )
    if options.stem == "small":
        network.embedder.embedder.convolution = nn.Conv2d(channels, sizes[0], 3, padding=1, bias=False)
        network.embedder.pooler = nn.Identity()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    made: nn.Module = network
    return made


def _linear(features: int, width: int, bias: bool) -> nn.Linear:
    layer = nn.Linear(features, width, bias=bias)
    nn.init.xavier_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
