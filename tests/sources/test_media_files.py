"""Decoding: the spectrogram is the one of the protocol, frames are those of their times."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import soundfile
from media_data import write_video
from real import real_data

from omib_cli.errors import DataError
from omib_cli.recipe.sources.media import AudioOptions, VideoOptions
from omib_cli.sources.media.audio import filled, read_audio, spectrogram
from omib_cli.sources.media.video import read_frames

PAPER = AudioOptions()


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_the_spectrogram_of_a_real_clip_is_scipys():
    path = sorted(real_data("ravdess_clips").glob("*.wav"))[0]
    samples, rate = soundfile.read(path)
    whole = np.resize(scipy.signal.resample_poly(samples, 441, 320), 66_150)  # 16 kHz to 22.05 kHz
    assert rate == 16_000
    _, _, theirs = scipy.signal.stft(
        whole.clip(-1, 1), window="hann", nperseg=512, noverlap=512 - 353, boundary="even", padded=False
    )
    window = scipy.signal.get_window("hann", 512)
    expected = np.log(np.abs(theirs) * window.sum() + 1e-7)
    ours = spectrogram(filled(read_audio(path, PAPER), PAPER), PAPER)
    assert ours.shape == expected.shape == (257, 188)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[:, :-1], expected[:, :-1], atol=1e-4)
    np.testing.assert_allclose(np.exp(ours), np.exp(expected), rtol=1e-3, atol=1e-4)


def test_a_tone_stands_at_its_frequency_whatever_the_rate_of_the_file(tmp_path):
    for rate in (8_000, 16_000, 44_100):
        soundfile.write(tmp_path / "tone.wav", tone(2.0, rate, 1000.0), rate)
        found = spectrogram(filled(read_audio(tmp_path / "tone.wav", PAPER), PAPER), PAPER)
        assert found[:, 60].argmax() == pytest.approx(1000 * 512 / 22_050, abs=1)


def test_short_sounds_are_repeated_and_long_ones_cut(tmp_path):
    for seconds in (0.3, 1.3, 5.0):
        soundfile.write(tmp_path / "a.wav", tone(seconds, 22_050, 3.0), 22_050, subtype="DOUBLE")
        samples = tone(seconds, 22_050, 3.0)
        expected = np.tile(samples, 12)[:66_150]
        np.testing.assert_allclose(filled(read_audio(tmp_path / "a.wav", PAPER), PAPER), expected, atol=1e-6)


def test_channels_are_averaged_and_loud_samples_clipped(tmp_path):
    stereo = np.stack([tone(3.0, 22_050), -tone(3.0, 22_050)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 22_050, subtype="DOUBLE")
    silent = spectrogram(filled(read_audio(tmp_path / "a.wav", PAPER), PAPER), PAPER)
    np.testing.assert_allclose(silent, np.log(1e-7), atol=1e-3)
    square = np.sign(tone(3.0, 22_050))
    np.testing.assert_allclose(spectrogram(5 * square, PAPER), spectrogram(square, PAPER), atol=1e-6)


def test_the_sound_of_a_video_file_is_found():
    path = next(real_data("ravdess_clips").glob("*.mp4"))
    wav = real_data("ravdess_clips") / "03-01-01-01-01-01-01.wav"
    film, sound = read_audio(path, PAPER)[735:], read_audio(wav, PAPER)[:-735]  # the film starts a frame earlier
    assert len(film) == 66_150 - 735
    assert np.corrcoef(film, sound)[0, 1] > 0.99


def grey(path, values: list[int], fps: int, codec: str = "flv"):
    return write_video(path, [np.full((48, 64, 3), value, np.uint8) for value in values], fps, codec)


@pytest.mark.parametrize(("name", "codec"), [("a.flv", "flv"), ("a.mp4", "libx264")])
def test_frames_are_those_at_their_times_and_the_last_one_stands_still(tmp_path, name, codec):
    """Brightness grows by 4 a frame at 10 frames a second, so that it tells the time."""
    grey(tmp_path / name, list(range(16, 16 + 4 * 35, 4)), 10, codec)

    def times(fps, frames):
        found = read_frames(tmp_path / name, VideoOptions(fps=fps, frames=frames, size=16))
        assert found.shape == (frames, 3, 16, 16)
        assert found.dtype == np.uint8
        return ((found.mean(axis=(1, 2, 3)) - 16) / 40).tolist()

    assert times(1, 3) == pytest.approx([0, 1, 2], abs=0.06)
    assert times(2, 4) == pytest.approx([0, 0.5, 1, 1.5], abs=0.06)
    assert times(1, 6) == pytest.approx([0, 1, 2, 3, 3.4, 3.4], abs=0.06)


def test_frames_are_rgb_and_squeezed_into_the_size(tmp_path):
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, :40, 0], image[:, 40:, 2] = 200, 200
    write_video(tmp_path / "a.flv", [image] * 5, 10)
    first = read_frames(tmp_path / "a.flv", VideoOptions(frames=1, size=32))[0].astype(int)
    assert first[0, :, :14].min() > 150 > 60 > first[2, :, :14].max()
    assert first[2, :, 18:].min() > 150 > 60 > first[0, :, 18:].max()


def test_a_film_with_a_damaged_middle_or_a_missing_end_gives_what_can_be_decoded(tmp_path):
    path = grey(tmp_path / "a.flv", list(range(16, 16 + 4 * 30, 4)), 10)
    content = path.read_bytes()
    (tmp_path / "cut.flv").write_bytes(content[: len(content) // 2])
    middle = len(content) // 2
    (tmp_path / "holed.flv").write_bytes(content[:middle] + bytes(60) + content[middle + 60 :])
    for name in ("cut.flv", "holed.flv"):
        found = read_frames(tmp_path / name, VideoOptions(frames=3, size=16))
        assert found.shape == (3, 3, 16, 16)
        assert found[0].mean() == pytest.approx(16, abs=3)


@pytest.mark.parametrize("content", [b"", b"FLV\x01\x05\x00\x00\x00\x09", b"<html>not found</html>" * 40])
def test_what_is_no_film_is_refused_in_words(tmp_path, content):
    (tmp_path / "a.flv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_frames(tmp_path / "a.flv", VideoOptions())
    assert "a.flv" in str(caught.value)
    with pytest.raises(DataError):
        read_audio(tmp_path / "a.flv", PAPER)


def test_films_without_sound_and_sounds_without_pictures_are_refused(tmp_path):
    grey(tmp_path / "a.flv", [20] * 5, 10)
    with pytest.raises(DataError, match="no sound"):
        read_audio(tmp_path / "a.flv", PAPER)
    soundfile.write(tmp_path / "a.wav", tone(1, 8000), 8000)
    with pytest.raises(DataError, match="no pictures"):
        read_frames(tmp_path / "a.wav", VideoOptions())


def test_empty_and_damaged_sounds_are_refused_in_words(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.full(800, np.nan), 8000, subtype="FLOAT")
    (tmp_path / "none.wav").write_bytes(b"")
    for name, said in (("empty", "no sound"), ("nan", "damaged"), ("none", "cannot be decoded")):
        with pytest.raises(DataError, match=said):
            read_audio(tmp_path / f"{name}.wav", PAPER)


def test_a_sound_too_short_for_its_frames_is_refused_by_the_recipe():
    with pytest.raises(ValueError, match="half of `n_fft`"):
        AudioOptions(rate=8000, seconds=0.03, n_fft=512)


def test_a_level_makes_loudness_tell_nothing_and_leaves_silence_silent():
    options = AudioOptions(level=0.1)
    quiet, loud = 0.02 * tone(3.0, 22_050), 0.9 * tone(3.0, 22_050)
    np.testing.assert_allclose(spectrogram(quiet, options), spectrogram(loud, options), atol=1e-4)
    np.testing.assert_allclose(
        spectrogram(quiet, options), spectrogram(quiet * 0.1 / np.sqrt(np.mean(quiet**2)), PAPER), atol=1e-5
    )
    np.testing.assert_allclose(spectrogram(np.zeros(66_150), options), np.log(1e-7), atol=1e-6)
