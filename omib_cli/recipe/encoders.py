"""Options of encoders, one class each, and their registry.

Labels in square brackets, such as [D2], are places where the paper leaves a choice: docs/choices.md lists them all.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omib_cli.recipe.options import Activation, Count, Options, Positive, Registry, Share

ENCODERS = Registry("encoder", "kind")


class EncoderOptions(Options):
    """What every encoder has in common: the width d of the encoding z (B, d)."""

    kind: str
    width: Count = 256
    """Width d of the encoding."""
    lr: Positive | None = None
    """Own learning rate of the encoder, or of its pretrained layers alone where it has some; None takes the phase's."""

    def misfits(self, kind: str, frames: int | None) -> list[str]:
        """Which options do not go together with a modality of this kind (a video of so many frames), in words."""
        return []


class MlpOptions(EncoderOptions):
    """A multilayer perceptron for vectors (Appendix H: two layers, GELU, 256 wide)."""

    kind: Literal["mlp"] = "mlp"
    hidden: list[Count] = [256]
    """Widths of the hidden layers; `[]` makes the encoder linear."""
    activation: Activation = "gelu"
    """After each hidden layer."""
    input_dropout: Share = 0.0
    """Share of the input features set to zero in training."""
    dropout: Share = 0.0
    """Dropout after each hidden layer and on the encoding."""
    norm: Literal["none", "layer"] = "none"
    """Normalisation after each hidden layer."""
    output_activation: bool = False
    """Whether the encoding itself goes through the activation."""


class ResNetOptions(EncoderOptions):
    """ResNet-18 for images, video frames and spectrograms (Appendices H and I)."""

    kind: Literal["resnet"] = "resnet"
    width: Count = 512
    """Width d of the encoding; a linear layer is added where it is not 8 times `channels`."""
    stem: Literal["standard", "small"] = "standard"
    """`standard` is 7 x 7 with stride 2 and max-pooling; `small`, for images of about 32 x 32, 3 x 3 and neither."""
    channels: Count = 64
    """Channels of the first stage, doubled at each of the next three; 64 is ResNet-18, less is a slimmer one."""
    weights: str | None = None
    """A folder with pretrained weights in the transformers library's format; from scratch where left out."""
    frames: Count | None = None
    """Frames of a clip that enter; all that are stored where left out."""
    frame_pick: Literal["random", "first"] = "random"
    """Which they are: drawn anew in training and equally spaced otherwise (one frame: the middle one), or the first."""
    crop: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Training sees a random part of each image, at least this share of its area, enlarged; 1 for whole images."""
    flip: bool = False
    """Whether training mirrors one image in two."""
    warp: Share = 0.0
    """Training stretches frequency and time of each spectrogram by up to this share, and shifts it in time."""

    def misfits(self, kind: str, frames: int | None) -> list[str]:
        """As for any encoder, and changes or frames that this kind does not have."""
        found = super().misfits(kind, frames)
        if kind == "spectrogram" and (self.crop < 1.0 or self.flip):
            found.append("`crop` and `flip` are for images; a spectrogram has `warp`")
        if kind in ("image", "video") and self.warp > 0.0:
            found.append("`warp` is for spectrograms")
        if self.frames is not None and kind in ("image", "spectrogram"):
            found.append("`frames` is for video")
        if self.frames is not None and frames is not None and self.frames > frames:
            found.append(f"`frames` is {self.frames}, but {frames} of each clip are stored")
        return found


class Conv1dOptions(EncoderOptions):
    """Convolutions along a sequence and the mean over its real elements (Appendix H: audio and visual of CMU-MOSI)."""

    kind: Literal["conv1d"] = "conv1d"
    kernel: Count = 3
    """Elements that a convolution sees at once; an odd number."""
    layers: Count = 1
    """Convolutions, each followed by ReLU."""
    dropout: Share = 0.0
    """After each convolution."""

    @model_validator(mode="after")
    def _odd_kernel(self) -> Conv1dOptions:
        if self.kernel % 2 == 0:
            raise ValueError(f"`kernel` ({self.kernel}) must be odd, so that a sequence keeps its length")
        return self


class TextOptions(EncoderOptions):
    """A BERT-style text encoder on tokens; which one, the dataset says (the folder of its tokenizer)."""

    kind: Literal["text"] = "text"
    weights: str | None = None
    """A folder of pretrained weights (transformers library), or a place inside an installed Python package; from
    scratch where left out."""
    freeze: bool = False
    """Whether the pretrained layers stay as they are."""
    pooling: Literal["conv", "mean", "cls"] = "conv"
    """`conv`: a convolution of width 3, then the mean over real tokens; `mean`: the mean, then a linear layer; `cls`:
    the first token, then a linear layer [D8]."""
    dropout: Share = 0.0
    """On the output of the pretrained layers."""

    @model_validator(mode="after")
    def _frozen_layers_do_not_learn(self) -> TextOptions:
        if self.freeze and self.lr is not None:
            raise ValueError("`lr` is the rate of the pretrained layers, and `freeze` says that they do not learn")
        return self


class GcnOptions(EncoderOptions):
    """Two graph convolutions over a spot and its neighbours (Appendix H)."""

    kind: Literal["gcn"] = "gcn"
    hidden: Count = 512
    """Width between the two layers."""
    norm: Literal["none", "layer"] = "layer"
    """Normalisation after the first layer; it hides how large a spot's values are, which is much of an anomaly."""
    dropout: Share = 0.3
    """Dropout after the first layer."""


class ModalityOptions(Options):
    """One kind of input; the first modality of a recipe is the reference of the relative weights r."""

    encoder: EncoderOptions = MlpOptions()
    """What turns the input into the encoding z."""


ENCODERS.add(MlpOptions, "omib_cli.encoders.mlp:MlpEncoder")
ENCODERS.add(GcnOptions, "omib_cli.encoders.gcn:GcnEncoder")
ENCODERS.add(ResNetOptions, "omib_cli.encoders.resnet:ResNetEncoder")
ENCODERS.add(Conv1dOptions, "omib_cli.encoders.conv1d:Conv1dEncoder")
ENCODERS.add(TextOptions, "omib_cli.encoders.text:TextEncoder")
