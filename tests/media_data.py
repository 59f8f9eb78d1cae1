"""Folders of clips in public layouts, made from real ones."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

from omib_cli.recipe.schema import Recipe, recipe_model

SMALL = {"video": {"frames": 2, "size": 24}}
"""Options that keep tests fast; the sound keeps its own."""
EMOTIONS = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
ACTORS = range(1001, 1006)
CLIPS = [f"{actor}_IEO_{emotion}_HI" for actor in ACTORS for emotion in EMOTIONS]


def write_video(path: Path, images: list[np.ndarray], fps: int, codec: str = "flv") -> Path:
    """Encode (H, W, 3) uint8 images."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path, channels: list[np.ndarray], rate: int, codec: str, layout: str = "mono") -> Path:
    """Encode channels of equal length in a container."""
    with av.open(path, "w") as container:
        add_sound(container, container.add_stream(codec, rate=rate, layout=layout), channels)
    return path


def add_sound(container, stream, channels: list[np.ndarray]) -> None:
    """Encode channels of equal length into a stream; all streams of the container have been added before."""
    layout = stream.layout.name
    frame = av.AudioFrame.from_ndarray(np.stack(channels).astype(np.float32), format="fltp", layout=layout)
    frame.sample_rate, frame.pts = stream.rate, 0
    resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=stream.rate, frame_size=1024)
    for part in resampler.resample(frame) + resampler.resample(None):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def real_images(clips: Path, every: int = 3) -> list[np.ndarray]:
    """Every third frame of the real clip, small."""
    with av.open(next(clips.glob("*.mp4"))) as container:
        frames = [frame for index, frame in enumerate(container.decode(video=0)) if index % every == 0]
    return [frame.reformat(width=80, height=60, format="rgb24").to_ndarray() for frame in frames]


def crema_d(folder: Path, clips: Path) -> Path:
    """Thirty clips of five actors and six emotions: FLV of 10 frames a second, WAV at 16 kHz."""
    images, sounds = real_images(clips), sorted(clips.glob("*.wav"))
    (folder / "AudioWAV").mkdir(parents=True)
    (folder / "VideoFlash").mkdir()
    pool = [write_video(folder / f"pool{start}.flv", images[start : start + 15 + 5 * start], 10) for start in range(3)]
    for index, clip in enumerate(CLIPS):
        shutil.copy(pool[index % 3], folder / "VideoFlash" / f"{clip}.flv")
        samples, rate = soundfile.read(sounds[index % len(sounds)])
        soundfile.write(folder / "AudioWAV" / f"{clip}.wav", samples[: rate * (1 + index % 4)], rate)
    for path in pool:
        path.unlink()
    return folder


def media_recipe(
    source: str = "crema-d", modalities: tuple[str, ...] = ("audio", "video"), task: str = "classification", **data
) -> Recipe:
    """A recipe over clips with slim networks; further keys go into ``data``."""
    encoder = {"kind": "resnet", "channels": 4, "width": 8}
    return recipe_model().model_validate(
        {
            "name": "clips",
            "data": {"source": source, **SMALL, **data},
            "modalities": {name: {"encoder": encoder} for name in modalities},
            "task": {"kind": task},
            "head": {"hidden": 8},
            "beta": {"policy": "value", "value": 0.02},
            "warmup": {"epochs": 1, "batch": 8},
            "train": {"epochs": 1, "batch": 8},
            "evaluate": {"bootstrap": 10},
        }
    )


def everything(source):
    """Plan and the one block of all rows."""
    plan = source.plan()
    return plan, source.block(0, len(plan.ids))
