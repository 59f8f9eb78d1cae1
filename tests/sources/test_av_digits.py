"""Paired digits: the same digit, the same side, no speaker or image on two sides, noise where it is asked for."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile

import numpy as np
import pytest
import soundfile
from media_data import everything
from real import real_data

from omib_cli.errors import DataError, RecipeError
from omib_cli.recipe.schema import recipe_model
from omib_cli.recipe.sources.media import DigitAudioOptions
from omib_cli.sources.av_digits import IMAGES, LABELS, RECORDINGS, AvDigitsSource
from omib_cli.sources.digit_files import read_recordings


def recipe(seed: int = 0, modalities: tuple[str, ...] = ("image", "audio"), task: str = "classification", **data):
    encoder = {"kind": "resnet", "channels": 4, "width": 8}
    return recipe_model().model_validate(
        {
            "name": "digits",
            "seed": seed,
            "data": {"source": "av-digits", "samples": 600, **data},
            "modalities": {name: {"encoder": encoder} for name in modalities},
            "task": {"kind": task},
        }
    )


@pytest.fixture(scope="module")
def digits():
    return real_data("av_digits")


@pytest.fixture(scope="module")
def prepared(digits):
    return everything(AvDigitsSource(recipe(validation_speakers=1), digits))


def read_labels(folder) -> np.ndarray:
    return np.frombuffer(gzip.decompress((folder / LABELS).read_bytes()), np.uint8, offset=8)


def test_pairs_are_of_one_digit_and_labelled_with_it(digits, prepared):
    plan, block = prepared
    images = [int(one[:5]) for one in plan.ids]
    spoken = [int(one[6]) for one in plan.ids]
    assert block.labels.tolist() == spoken == read_labels(digits)[images].tolist()
    raw = np.frombuffer(gzip.decompress((digits / IMAGES).read_bytes()), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    np.testing.assert_array_equal(block.values["image"], raw[images])
    assert (plan.modalities["image"].kind, plan.modalities["audio"].kind) == ("image", "spectrogram")
    assert block.values["audio"].shape == (600, *plan.modalities["audio"].shape) == (600, 65, 41)


def test_no_speaker_and_no_image_stands_on_two_sides(prepared):
    plan, _ = prepared
    assert len({one[:5] for one in plan.ids}) == 600
    assert np.bincount(plan.split).tolist() == [300, 100, 200]  # 3, 1 and 2 of 6 speakers
    heard = [{one.split("_")[1] for one, code in zip(plan.ids, plan.split, strict=True) if code == s} for s in range(3)]
    assert [len(one) for one in heard] == [3, 1, 2]
    assert len(set().union(*heard)) == 6
    assert plan.facts["speakers"] == {
        name: side for names, side in zip(heard, ("train", "validation", "test"), strict=True) for name in names
    }


def test_recordings_are_used_equally_often(prepared):
    plan, _ = prepared
    for side in range(3):
        for digit in "0123456789":
            used = [one[6:] for one, code in zip(plan.ids, plan.split, strict=True) if code == side and one[6] == digit]
            counts = np.unique(used, return_counts=True)[1]
            assert counts.max() - counts.min() <= 1


def test_spectrograms_are_standardised_by_the_training_speakers(prepared):
    plan, block = prepared
    train = block.values["audio"][plan.split == 0]
    np.testing.assert_allclose(train.mean(axis=(0, 2)), 0, atol=0.15)
    np.testing.assert_allclose(train.std(axis=(0, 2)), 1, atol=0.15)
    assert set(plan.modalities["audio"].preprocessing) == {"offset", "scale"}


def test_everything_follows_the_seed_and_blocks_their_arguments(digits, prepared):
    again = AvDigitsSource(recipe(validation_speakers=1), digits)
    assert again.plan().ids == prepared[0].ids
    np.testing.assert_array_equal(again.block(70, 90).values["audio"], prepared[1].values["audio"][70:90])
    other = AvDigitsSource(recipe(seed=1, validation_speakers=1), digits).plan()
    assert other.ids != prepared[0].ids


@pytest.mark.parametrize("name", ["image", "audio"])
def test_noise_changes_one_modality_of_the_test_split_alone(digits, prepared, name):
    plan, noisy = everything(AvDigitsSource(recipe(validation_speakers=1, corrupt={name: 0.5}), digits))
    _, clean = prepared
    assert plan.ids == prepared[0].ids
    test = plan.split == 2
    for one in ("image", "audio"):
        np.testing.assert_array_equal(noisy.values[one][~test], clean.values[one][~test])
        changed = (noisy.values[one] != clean.values[one])[test].any(axis=tuple(range(1, noisy.values[one].ndim)))
        assert changed.all() if one == name else not changed.any()


def test_noise_is_as_strong_as_the_recipe_says(digits):
    source = AvDigitsSource(recipe(corrupt={"image": 0.1, "audio": 2.0}), digits)
    plan = source.plan()
    row = int(np.flatnonzero(plan.split == 2)[0])
    clean = source._images[source._pairs[row, 0]].astype(float)
    noise = source._image(row) - clean
    assert 0.1 * 255 * 0.4 < noise.std() < 0.1 * 255  # black stays black where the noise is negative
    assert np.std(source._noise("audio", row, (5000,))) == pytest.approx(2.0, rel=0.05)


def test_one_modality_alone(digits):
    plan, block = everything(AvDigitsSource(recipe(modalities=("audio",)), digits))
    assert list(plan.modalities) == list(block.values) == ["audio"]


def refusal(folder, kind=DataError, **options) -> str:
    with pytest.raises(kind) as caught:
        everything(AvDigitsSource(recipe(**options), folder))
    return str(caught.value)


def test_what_cannot_be_is_refused(digits):
    assert "image and audio" in refusal(digits, RecipeError, modalities=("image", "video"))
    assert "classes" in refusal(digits, RecipeError, task="regression")
    assert "more pairs than images" in refusal(digits, samples=10_001)
    assert "no speaker is left" in refusal(digits, test_speakers=6)


def archive_of(path, recordings: dict[str, bytes]):
    with tarfile.open(path, "w:xz") as archive:
        for name, content in recordings.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def recording(samples: np.ndarray, **options) -> bytes:
    """A WAV file of 8,000 samples a second."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 8000, format="WAV", **options)
    return buffer.getvalue()


VOICE = 0.3 * np.sin(np.arange(4000) / 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (recording(np.zeros(4000)), "silence"),
        (recording(np.zeros(0)), "no sound"),
        (recording(VOICE[:200]), "hardly any sound"),
        (recording(VOICE)[:3000], "cut off"),
        (recording(VOICE * 32767, subtype="FLOAT"), "unknown scale"),
        (b"RIFF", "cannot be decoded"),
    ],
)
def test_recordings_that_are_no_sound_are_named_and_refused(tmp_path, content, said):
    path = archive_of(tmp_path / RECORDINGS, {"r/0_a_0.wav": recording(VOICE), "r/1_a_0.wav": content})
    with pytest.raises(DataError, match=said) as caught:
        read_recordings(path, DigitAudioOptions())
    assert "r/1_a_0.wav" in str(caught.value)


def test_two_recordings_of_one_name_are_refused_and_channels_averaged(tmp_path):
    stereo = recording(np.stack([VOICE, np.zeros(4000)], axis=1), subtype="DOUBLE")
    found = read_recordings(archive_of(tmp_path / "a.tar.xz", {"0_a_0.wav": stereo}), DigitAudioOptions())
    np.testing.assert_allclose(found[0].samples, VOICE / 2)
    path = archive_of(tmp_path / "b.tar.xz", {"x/0_a_0.wav": recording(VOICE), "y/0_a_0.wav": recording(VOICE / 2)})
    with pytest.raises(DataError, match="1 duplicated id"):
        read_recordings(path, DigitAudioOptions())


def test_missing_damaged_and_other_files_are_refused(digits, tmp_path):
    folder = shutil.copytree(digits, tmp_path / "digits", copy_function=shutil.copy)
    for path in folder.iterdir():
        path.chmod(0o644)
    (folder / RECORDINGS).write_bytes((folder / RECORDINGS).read_bytes()[:5000])
    assert RECORDINGS in refusal(folder)
    with tarfile.open(folder / RECORDINGS, "w:xz") as archive:
        archive.add(folder / LABELS, "README")
    assert "no recording" in refusal(folder)
    shutil.copy(folder / LABELS, folder / IMAGES)
    assert "IDX" in refusal(folder)
    (folder / IMAGES).write_bytes(b"\x1f\x8b")
    assert "truncated or damaged" in refusal(folder)
    (folder / IMAGES).unlink()
    assert "no such file of digits" in refusal(folder)


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a/1_jackson_0.wav", "b/1_jackson_0.wav"], "the same"), (["1_x_0.wav"], "no sound")],
)
def test_recordings_of_one_name_and_empty_ones_are_refused(tmp_path, names, words):
    sound = np.zeros(0) if words == "no sound" else 0.1 * np.sin(np.arange(8000) / 5)
    with tarfile.open(tmp_path / "r.tar.xz", "w:xz") as archive:
        for name in names:
            soundfile.write(tmp_path / "one.wav", sound, 8000)
            archive.add(tmp_path / "one.wav", name)
    with pytest.raises(DataError) as caught:
        read_recordings(tmp_path / "r.tar.xz", DigitAudioOptions())
    assert words in caught.value.what
