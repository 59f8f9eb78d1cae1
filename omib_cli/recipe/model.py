"""Sections that describe the network: encoders, prediction heads, OMIB, tasks, and registries.

The methods that OMIB is compared with are in recipe/methods.py, with the registry of all of them.

Labels in square brackets, such as [D2], are places where the paper leaves a choice: docs/choices.md lists them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from omib_cli.recipe.section import Registry, Section

ENCODERS = Registry("encoder", "kind")
TASKS = Registry("task", "kind")

Activation = Literal["gelu", "relu", "leaky-relu"]
Width = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


class EncoderOptions(Section):
    """What every encoder has in common: the width d of the encoding z (B, d)."""

    kind: str
    width: Width = 256
    """Width d of the encoding."""
    lr: Positive | None = None
    """Own learning rate of the encoder, or of its pretrained layers alone where it has some; None takes the phase's."""


class MlpOptions(EncoderOptions):
    """A multilayer perceptron for vectors (Appendix H: two layers, GELU, 256 wide)."""

    kind: Literal["mlp"] = "mlp"
    hidden: list[Width] = [256]
    """Widths of the hidden layers; `[]` makes the encoder linear."""
    activation: Activation = "gelu"
    """After each hidden layer."""
    input_dropout: Probability = 0.0
    """Share of the input features set to zero in training."""
    dropout: Probability = 0.0
    """Dropout after each hidden layer and on the encoding."""
    norm: Literal["none", "layer"] = "none"
    """Normalisation after each hidden layer."""
    output_activation: bool = False
    """Whether the encoding itself goes through the activation."""


class ResNetOptions(EncoderOptions):
    """ResNet-18 for images, video frames and spectrograms (Appendices H and I)."""

    kind: Literal["resnet"] = "resnet"
    width: Width = 512
    """Width d of the encoding; a linear layer is added where it is not 8 times `channels`."""
    stem: Literal["standard", "small"] = "standard"
    """`standard` is 7 x 7 with stride 2 and max-pooling; `small`, for images of about 32 x 32, 3 x 3 and neither."""
    channels: Width = 64
    """Channels of the first stage, doubled at each of the next three; 64 is ResNet-18, less is a slimmer one."""
    weights: str | None = None
    """A folder with pretrained weights in the transformers library's format; from scratch where left out."""
    frames: Width | None = None
    """Frames of a clip that enter; all that are stored where left out."""
    frame_pick: Literal["random", "first"] = "random"
    """Which they are: drawn anew in training and equally spaced otherwise (one frame: the middle one), or the first."""
    crop: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Training sees a random part of each image, at least this share of its area, enlarged; 1 for whole images."""
    flip: bool = False
    """Whether training mirrors one image in two."""
    warp: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Training stretches frequency and time of each spectrogram by up to this share, and shifts it in time."""


class Conv1dOptions(EncoderOptions):
    """Convolutions along a sequence and the mean over its real elements (Appendix H: audio and visual of CMU-MOSI)."""

    kind: Literal["conv1d"] = "conv1d"
    kernel: Annotated[int, Field(ge=1)] = 3
    """Elements that a convolution sees at once; an odd number."""
    layers: Annotated[int, Field(ge=1)] = 1
    """Convolutions, each followed by ReLU."""
    dropout: Probability = 0.0
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
    dropout: Probability = 0.0
    """On the output of the pretrained layers."""

    @model_validator(mode="after")
    def _frozen_layers_do_not_learn(self) -> TextOptions:
        if self.freeze and self.lr is not None:
            raise ValueError("`lr` is the rate of the pretrained layers, and `freeze` says that they do not learn")
        return self


class GcnOptions(EncoderOptions):
    """Two graph convolutions over a spot and its neighbours (Appendix H)."""

    kind: Literal["gcn"] = "gcn"
    hidden: Width = 512
    """Width between the two layers."""
    norm: Literal["none", "layer"] = "layer"
    """Normalisation after the first layer; it hides how large a spot's values are, which is much of an anomaly."""
    dropout: Probability = 0.3
    """Dropout after the first layer."""


class ModalityOptions(Section):
    """One kind of input; the first modality of a recipe is the reference of the relative weights r."""

    encoder: EncoderOptions = MlpOptions()
    """What turns the input into the encoding z."""


class HeadOptions(Section):
    """Prediction heads: in -> hidden -> out, or linear (Appendix H; choice D4)."""

    hidden: Annotated[int, Field(ge=0)] = 512
    """Width of the hidden layer; 0 makes the head linear."""
    activation: Activation = "gelu"
    """After the hidden layer."""
    dropout: Probability = 0.0
    """Dropout on the hidden layer."""


class FusionOptions(Section):
    """What every fusion method has in common: its name."""

    has_warmup: ClassVar[bool] = False
    """Whether it trains in two phases, of which the first is Algorithm 1. A method without has one, as long as both."""
    least_modalities: ClassVar[int] = 1
    """How many modalities it needs."""

    method: str

    @property
    def uses_beta(self) -> bool:
        """Whether the loss has the redundancy weight, for which bounds must be estimated."""
        return False

    @property
    def couples_samples(self) -> bool:
        """Whether a gradient depends on what other samples are in the batch, which several processes do not see."""
        return False

    def misfits(self, widths: Mapping[str, int]) -> list[str]:
        """What does not go together with modalities whose encodings have these widths, in words."""
        if len(widths) < self.least_modalities:
            return [f"`fusion.method` {self.method} needs {self.least_modalities} modalities, got {len(widths)}"]
        return []


class OmibOptions(FusionOptions):
    """Optimal multimodal information bottleneck (Equations 5-11); what the paper leaves open is an option."""

    has_warmup: ClassVar[bool] = True

    method: Literal["omib"] = "omib"
    latent: Width | None = None
    """Width k of the bottleneck and of the embedding; None takes the first encoder's width d [D2]."""
    routing: Literal["joint", "routed"] = "joint"
    """Which loss trains the encoders: `joint` all of them (Algorithm 2); `routed` detaches z before the bottleneck
    and the embedding before the heads of the task-relevance branches (Section 4) [C1]."""
    attention: Literal["tokens", "single", "cross", "none"] = "tokens"
    """Form of the cross-attention network: one token per modality; Equation 105's single concatenated token; each
    modality querying the others; or none, a linear map of the concatenation (the ablation w/o cross-attn) [D1]."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads; the latent width must be a multiple of it."""
    norm: bool = True
    """Layer normalisation after the attention's residual."""
    kl_reduction: Literal["sum", "mean"] = "sum"
    """KL to the prior, summed or averaged over the latent dimensions [A5]."""
    posterior: Literal["log-variance", "softplus"] = "log-variance"
    """What the second head of the bottleneck means: a log-variance, or s with sigma = softplus(s - 5) [A3]."""
    relative_weight: Literal["dynamic", "one"] = "dynamic"
    """`dynamic` is Equation 11; `one` fixes r = 1 (the ablation w/o r)."""
    r_estimator: Literal["ratio-of-means", "mean-of-ratios"] = "ratio-of-means"
    """How a batch's divergences become rho: Equation 49's quantity, or Equation 11 to the letter [B2]."""
    r_gradient: Literal["stop", "flow"] = "stop"
    """Whether r is a constant for the gradient [B3]."""
    r_momentum: Probability = 0.0
    """Exponential moving average of ln rho over batches; 0 uses each batch alone [B4]."""
    samples: Annotated[int, Field(ge=1)] = 1
    """Posterior samples per training step (the expectation over epsilon) [A6]."""
    inference_samples: Annotated[int, Field(ge=0)] = 0
    """0 predicts with zeta = mu; S averages embedding and prediction over S draws. With `norm` the means of unused
    dimensions, which are near 0, are blown up where training saw noise of variance 1: draws avoid that [C5]."""
    task_scale: Literal["one", "joint-information"] = "one"
    """`joint-information` divides the embedding's task loss by the bound's estimate of H(v_1..v_M), the objective for
    which the paper's bound on beta is proved; `one` is Equation 10 [A4]."""
    main_training: Literal["full", "without-omf"] = "full"
    """`without-omf`: after warm-up, a head on the concatenated encodings alone (the ablation w/o OMF)."""

    @property
    def uses_beta(self) -> bool:
        """In full; without OMF there is nothing that it weighs."""
        return self.main_training == "full"

    @property
    def couples_samples(self) -> bool:
        """If the gradient flows through r, which is a ratio of the batch's means."""
        return self.r_gradient == "flow"

    @model_validator(mode="after")
    def _heads_divide_latent(self) -> OmibOptions:
        if self.latent is not None and self.attention in ("tokens", "cross") and self.latent % self.heads:
            raise ValueError(f"`latent` ({self.latent}) must be a multiple of `heads` ({self.heads})")
        return self

    def misfits(self, widths: Mapping[str, int]) -> list[str]:
        """As for any method, and the encoders' width where it stands for the latent width."""
        latent = self.latent or next(iter(widths.values()))
        if self.attention in ("tokens", "cross") and latent % self.heads:
            return [f"latent width {latent} is no multiple of `fusion.heads` ({self.heads})"]
        return super().misfits(widths)


class TaskOptions(Section):
    """What every task has in common: its name."""

    kind: str


class ClassificationOptions(TaskOptions):
    """One of C classes; cross-entropy on logits."""

    kind: Literal["classification"] = "classification"


class RegressionOptions(TaskOptions):
    """One real number; squared or absolute error."""

    kind: Literal["regression"] = "regression"
    loss: Literal["mse", "l1"] = "mse"
    """Training loss [A2]."""
    sentiment: bool = False
    """Also report the metrics of sentiment scores in [-3, 3]: Acc-2 in both conventions, F1, Acc-7."""


class AnomalyOptions(TaskOptions):
    """Normal or not, learnt from normal samples only (deep one-class classification) [F]."""

    kind: Literal["anomaly"] = "anomaly"
    width: Width = 256
    """Width of the space in which distances from the centre are taken."""
    epsilon: Annotated[float, Field(gt=0.0)] = 0.1
    """Least distance of a centre's coordinates from 0."""
    centre_draws: Annotated[int, Field(ge=1)] = 4
    """Passes over the training split, each with noise of its own, whose mean output becomes a head's centre [F5]."""
    least_spread: Annotated[float, Field(ge=0.0)] = 1e-3
    """Relative spread of encodings and embedding below which training has collapsed and stops [F3]."""


ENCODERS.add(MlpOptions, "omib_cli.encoders.mlp:MlpEncoder")
ENCODERS.add(GcnOptions, "omib_cli.encoders.gcn:GcnEncoder")
ENCODERS.add(ResNetOptions, "omib_cli.encoders.resnet:ResNetEncoder")
ENCODERS.add(Conv1dOptions, "omib_cli.encoders.conv1d:Conv1dEncoder")
ENCODERS.add(TextOptions, "omib_cli.encoders.text:TextEncoder")
TASKS.add(ClassificationOptions, "omib_cli.tasks.classification:Classification")
TASKS.add(RegressionOptions, "omib_cli.tasks.regression:Regression")
TASKS.add(AnomalyOptions, "omib_cli.tasks.anomaly:Anomaly")
