"""CMU-MOSI in its published layouts, made small by hand."""

from __future__ import annotations

import pickle  # noqa: TID251
from pathlib import Path

import numpy as np

from omib_cli.recipe.schema import Recipe, recipe_model

WORDS = [["good", "films"], ["unreal", "film", "was", "bad"], ["it", "was", "good"], ["bad"], ["a", "good", "film"]]
SPLITS = {"train": "abcd", "dev": "e", "test": "fg"}
"""Videos of each split; three utterances each."""


def mosi_recipe(modalities: dict[str, str], **data) -> Recipe:
    """A recipe of the source cmu-mosi with an encoder of each kind named."""
    return recipe_model().model_validate(
        {
            "name": "mosi",
            "data": {"source": "cmu-mosi", **data},
            "modalities": {name: {"encoder": {"kind": kind, "width": 8}} for name, kind in modalities.items()},
            "task": {"kind": "regression", "sentiment": True},
            "head": {"hidden": 0},
            "beta": {"policy": "value", "value": 0.01},
            "warmup": {"epochs": 1, "batch": 4},
            "train": {"epochs": 1, "batch": 4},
            "evaluate": {"bootstrap": 10},
        }
    )


def mag_bert(audio: int = 4, visual: int = 3) -> dict[str, list]:
    """``mosi.pkl``: ((words, visual, acoustic), label, segment) in lists by split."""
    rng = np.random.default_rng(0)
    made: dict[str, list] = {}
    for split, videos in SPLITS.items():
        made[split] = []
        for video in videos:
            for index in range(3):
                words = WORDS[(ord(video) + index) % len(WORDS)]
                parts = (words, rng.normal(size=(len(words), visual)), rng.normal(size=(len(words), audio)))
                label = np.array([[rng.uniform(-3, 3)]], dtype=np.float32)
                made[split].append((parts, label, f"{video}_v{video}[{index}]"))
    return made


def mmsa(aligned: bool = True) -> dict[str, dict]:
    """``aligned_50.pkl`` or ``unaligned_50.pkl``: padded arrays by split."""
    rng = np.random.default_rng(0)
    made: dict[str, dict] = {}
    for split, videos in {"train": "abcd", "valid": "e", "test": "fg"}.items():
        ids = [f"_{video}_v$_${index}" for video in videos for index in range(3)]
        lengths = [1 + row % 4 for row in range(len(ids))]
        audio, vision = np.zeros((len(ids), 6, 5), np.float32), np.zeros((len(ids), 8, 2), np.float32)
        for row, length in enumerate(lengths):
            audio[row, :length] = rng.normal(size=(length, 5))
            vision[row, -length:] = rng.normal(size=(length, 2))  # some releases pad at the front
        made[split] = {
            "raw_text": np.array([" ".join(WORDS[row % len(WORDS)]) for row in range(len(ids))]),
            "audio": audio,
            "vision": vision,
            "id": ids,
            "regression_labels": rng.uniform(-3, 3, len(ids)).astype(np.float32),
        }
        if not aligned:
            vision[:] = np.flip(vision, axis=1)
            made[split] |= {"audio_lengths": lengths, "vision_lengths": lengths}
    return made


def save(folder: Path, name: str, value: object) -> Path:
    """Write a pickle, as the published ones were written."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(value))
    return folder


def published_folder(folder: Path) -> Path:
    """``label.csv`` and ``features.npz``; the last video's utterances have no features."""
    rng = np.random.default_rng(0)
    lines, ids = ["utterance_id,video_id,clip_id,text,label,fold,bclstm_split,binary"], []
    for split, videos in {"train": "abcd", "valid": "e", "test": "fg"}.items():
        for video in videos:
            for index in range(3):
                text = " ".join(WORDS[(ord(video) + index) % len(WORDS)]).upper()
                other = "test" if video in "ag" else "train"
                ids.append(f"{video}_{index}")
                lines.append(f"{ids[-1]},{video},{index},{text},{rng.uniform(-3, 3):.2f},{split},{other},0")
    folder.mkdir(exist_ok=True)
    (folder / "label.csv").write_text("\n".join(lines) + "\n")
    known = np.array(ids[::-1][3:])
    features = {name: rng.normal(5, 3, (len(known), 4)) for name in ("text", "audio", "visual")}
    np.savez(folder / "features.npz", utterance_id=known, **features)
    return folder
