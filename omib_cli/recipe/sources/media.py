"""Options of the sources of audio and video: CREMA-D, any folder of clips, and spoken and handwritten digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from omib_cli.recipe.options import Count, Options, Positive
from omib_cli.recipe.sources.common import NONE, LabelOptions, SourceOptions, SplitOptions

Stream = Literal["audio", "video"]


class AudioOptions(Options):
    """From sound to a log-magnitude spectrogram (F, T); as OGM-GE prepares CREMA-D, (257, 188)."""

    rate: Count = 22_050
    """Samples per second to which the sound is brought, one channel."""
    seconds: Positive = 3.0
    """Length to which the sound is cut, or repeated where it is shorter (less than a tenth of it is refused)."""
    n_fft: Annotated[int, Field(ge=2)] = 512
    """Samples in a frame of the Fourier transform; F = n_fft / 2 + 1."""
    hop: Count = 353
    """Samples from frame to frame; T = seconds * rate / hop, rounded down, + 1."""
    level: Positive | None = None
    """Root mean square to which each sound is brought first, so that loudness tells nothing; None leaves it."""
    floor: Positive = 1e-7
    """Added to the magnitude before its natural logarithm is taken."""

    @model_validator(mode="after")
    def _long_enough(self) -> AudioOptions:
        if self.samples <= self.n_fft // 2:
            raise ValueError(f"`seconds` times `rate` ({self.samples} samples) must exceed half of `n_fft`")
        return self

    @property
    def samples(self) -> int:
        """Samples of the cut sound."""
        return round(self.seconds * self.rate)


class VideoOptions(Options):
    """From a clip to some of its frames (T, 3, size, size)."""

    fps: Positive = 1.0
    """Frames kept of each second, equally spaced, the first at its beginning."""
    frames: Count = 3
    """T: how many are stored; a clip that ends earlier stands still."""
    size: Count = 224
    """Height and width to which frames are brought, whatever their shape (no part is cut off)."""


class ClipSplitOptions(SplitOptions):
    """How clips are divided."""

    by: Literal["given", "random", "stratified", "group"] = "group"
    """`group`: no actor (or other group) on two sides; `random` and `stratified`: clip by clip; `given`: as the lists
    or the labels' `split` column say, whether or not groups are cut."""


class ClipOptions(SourceOptions):
    """What all folders of clips have in common; the recipe's modalities are `audio`, `video`, or both."""

    audio: AudioOptions = AudioOptions()
    """Of the modality `audio`."""
    video: VideoOptions = VideoOptions()
    """Of the modality `video`."""
    split: ClipSplitOptions = ClipSplitOptions()
    """Training, validation and test."""
    tolerance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    """Largest share of clips that may lack a modality: a file is missing, cannot be read, is cut off or silent, or has
    several streams."""

    def kind(self, modality: str) -> str | None:
        """Sound as a spectrogram, the clip's frames as a video."""
        return {"audio": "spectrogram", "video": "video"}.get(modality)

    def frames(self, modality: str) -> int | None:
        """As `video.frames` says."""
        return self.video.frames if modality == "video" else None


class CremaDOptions(ClipOptions):
    """CREMA-D as published: `AudioWAV/*.wav`, and `VideoFlash/*.flv` or `*.mp4`; names give actor and emotion."""

    source: Literal["crema-d"] = "crema-d"
    lists: dict[Literal["train", "validation", "test"], str] = {"train": "train.csv", "test": "test.csv"}
    """With `split.by: given`, the list of clips of each split: lines of name and emotion, as OGM-GE publishes them."""


class MediaOptions(ClipOptions):
    """Any folder of clips, labelled by a table or by the clips' names."""

    source: Literal["media"] = "media"
    files: dict[Stream, str] = {}
    """Where the files of each modality are, `{id}` standing for the clip's id: `video/{id}.mp4`, or `**/{id}.mp4` at
    any depth. Both may name the same files: audio is then the sound of the video."""
    labels: LabelOptions | None = None
    """The table of labels, with the clip's id in the column `id`."""
    names: Literal["ravdess"] | None = None
    """Take label and actor from names as in RAVDESS: modality-channel-emotion-intensity-statement-repetition-actor."""

    def renamed(self, files: Mapping[str, str], labels: str | None) -> Self:
        """With other patterns of files, ``audio/{id}.wav``, and another table of labels."""
        odd = [pattern for pattern in files.values() if pattern != NONE and pattern.count("{id}") != 1]
        if odd or (self.names is not None and (files or labels)):
            got = repr(odd[0]) if odd else "the names of the clips say where they are, and their labels"
            raise ValueError(f"a modality of clips is named by a pattern, such as audio={{id}}.wav; got {got}")
        own = self.labels if labels is None or self.labels is None else self.labels.of_file(labels)
        return self.model_copy(update={"files": {**self.files, **files}, "labels": own})

    @model_validator(mode="after")
    def _one_way_to_label(self) -> MediaOptions:
        if (self.labels is None) == (self.names is None):
            raise ValueError("give either `labels` or `names`")
        if self.labels is not None and (not self.files or self.labels.id is None):
            raise ValueError("`labels` needs `files` ({audio: ..., video: ...}) and a column of ids (`labels.id`)")
        if self.names is not None and self.files:
            raise ValueError("`files` goes with `labels`; the names of a collection say where its files are")
        odd = [pattern for pattern in self.files.values() if pattern.count("{id}") != 1]
        if odd:
            raise ValueError(f"`files`: {{id}} must stand once in {odd[0]!r}")
        return self


class DigitAudioOptions(AudioOptions):
    """Of a spoken digit: short frames that blur a voice's pitch, equal loudness, and a floor above the rooms' noise."""

    rate: Count = 8000
    """Samples per second to which the sound is brought, one channel."""
    seconds: Positive = 0.64
    """Length to which the sound is cut, or repeated where it is shorter."""
    n_fft: Annotated[int, Field(ge=2)] = 128
    """Samples in a frame of the Fourier transform; F = n_fft / 2 + 1."""
    hop: Count = 128
    """Samples from frame to frame; T = seconds * rate / hop, rounded down, + 1."""
    level: Positive | None = 0.1
    """Root mean square to which each sound is brought first, so that loudness tells nothing; None leaves it."""
    floor: Positive = 1e-3
    """Added to the magnitude before its natural logarithm is taken."""


class AvDigitsOptions(SourceOptions):
    """Handwritten and spoken digits, paired digit by digit as in AV-MNIST; modalities `image` and `audio`.

    The folder holds MNIST's `t10k-images-idx3-ubyte.gz` and `t10k-labels-idx1-ubyte.gz`, and `recordings.tar.xz` with
    the Free Spoken Digit Dataset's `{digit}_{speaker}_{n}.wav`.
    """

    source: Literal["av-digits"] = "av-digits"
    samples: Count | None = None
    """Number of pairs; each image is used once at most, each recording as often as needed. All images if left out."""
    test_speakers: Count = 2
    """Speakers heard in the test split only, drawn from the seed; it gets the same share of the images."""
    validation_speakers: Annotated[int, Field(ge=0)] = 0
    """Speakers of the validation split, likewise."""
    audio: DigitAudioOptions = DigitAudioOptions()
    """Of the spectrogram, whose frequencies are then standardised by mean and deviation over the training speakers."""
    corrupt: dict[Literal["image", "audio"], Positive] = {}
    """Gaussian noise in the test split alone: its deviation, in units of the full range of an image (then cut to it),
    or of a recording's root mean square (1 is 0 dB)."""

    def kind(self, modality: str) -> str | None:
        """An image, and sound as a spectrogram."""
        return {"audio": "spectrogram", "image": "image"}.get(modality)
