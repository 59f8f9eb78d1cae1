"""Decoding: the spectrogram is the one of the protocol, frames are those of their times."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest
import scipy.signal
import soundfile
from av.stream import Disposition
from media_data import add_sound, write_sound, write_video
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
    ours = spectrogram(filled(read_audio(path, PAPER).samples, PAPER), PAPER)
    assert ours.shape == expected.shape == (257, 188)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[:, :-1], expected[:, :-1], atol=1e-4)
    np.testing.assert_allclose(np.exp(ours), np.exp(expected), rtol=1e-3, atol=1e-4)


def test_a_tone_stands_at_its_frequency_whatever_the_rate_of_the_file(tmp_path):
    for rate in (8_000, 16_000, 44_100):
        soundfile.write(tmp_path / "tone.wav", tone(2.0, rate, 1000.0), rate)
        found = spectrogram(filled(read_audio(tmp_path / "tone.wav", PAPER).samples, PAPER), PAPER)
        assert found[:, 60].argmax() == pytest.approx(1000 * 512 / 22_050, abs=1)


def test_short_sounds_are_repeated_and_long_ones_cut(tmp_path):
    for seconds in (0.3, 1.3, 5.0):
        soundfile.write(tmp_path / "a.wav", tone(seconds, 22_050, 3.0), 22_050, subtype="DOUBLE")
        samples = tone(seconds, 22_050, 3.0)
        expected = np.tile(samples, 12)[:66_150]
        np.testing.assert_allclose(filled(read_audio(tmp_path / "a.wav", PAPER).samples, PAPER), expected, atol=1e-6)


def test_channels_are_averaged_and_loud_samples_clipped(tmp_path):
    left, right = tone(3.0, 22_050), tone(3.0, 22_050, 550.0)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 22_050, subtype="DOUBLE")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", PAPER).samples, (left + right) / 2, atol=1e-6)
    square = np.sign(tone(3.0, 22_050))
    np.testing.assert_allclose(spectrogram(5 * square, PAPER), spectrogram(square, PAPER), atol=1e-6)


def test_a_container_with_several_channels_is_as_loud_as_a_sound_file(tmp_path):
    """FFmpeg's own mixing makes two equal channels 1.4 times louder, six of them otherwise."""
    samples = tone(3.0, 22_050)
    for layout, channels in (("mono", 1), ("stereo", 2), ("5.1", 6)):
        for suffix, codec in ((".mkv", "pcm_s16le"), (".mov", "pcm_s16le"), (".mka", "flac")):
            path = write_sound(tmp_path / f"a{suffix}", [samples] * channels, 22_050, codec, layout)
            np.testing.assert_allclose(read_audio(path, PAPER).samples, samples, atol=1e-3)


def test_the_sound_of_a_video_file_is_found():
    path = next(real_data("ravdess_clips").glob("*.mp4"))
    wav = real_data("ravdess_clips") / "03-01-01-01-01-01-01.wav"
    film, sound = (read_audio(one, PAPER).samples for one in (path, wav))
    film, sound = film[735:], sound[:-735]  # the film starts a frame earlier
    assert len(film) == 66_150 - 735
    assert np.corrcoef(film, sound)[0, 1] > 0.99


def grey(path, values: list[int], fps: int, codec: str = "flv"):
    return write_video(path, [np.full((48, 64, 3), value, np.uint8) for value in values], fps, codec)


@pytest.mark.parametrize(("name", "codec"), [("a.flv", "flv"), ("a.mp4", "libx264")])
def test_frames_are_those_at_their_times_and_the_last_one_stands_still(tmp_path, name, codec):
    """Brightness grows by 4 a frame at 10 frames a second, so that it tells the time."""
    grey(tmp_path / name, list(range(16, 16 + 4 * 35, 4)), 10, codec)

    def times(fps, frames):
        found = read_frames(tmp_path / name, VideoOptions(fps=fps, frames=frames, size=16)).frames
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
    first = read_frames(tmp_path / "a.flv", VideoOptions(frames=1, size=32)).frames[0].astype(int)
    assert first[0, :, :14].min() > 150 > 60 > first[2, :, :14].max()
    assert first[2, :, 18:].min() > 150 > 60 > first[0, :, 18:].max()


def test_a_film_with_a_damaged_middle_gives_what_can_be_decoded(tmp_path):
    path = grey(tmp_path / "a.flv", list(range(16, 16 + 4 * 30, 4)), 10)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(60) + content[middle + 60 :])
    found = read_frames(path, VideoOptions(frames=3, size=16))
    assert found.frames.shape == (3, 3, 16, 16)
    assert found.frames[0].mean() == pytest.approx(16, abs=3)


@pytest.mark.parametrize(("name", "codec"), [("a.flv", "flv"), ("a.mkv", "mpeg4"), ("a.webm", "vp9")])
def test_a_film_that_ends_before_it_says_is_refused_where_the_rest_is_needed(tmp_path, name, codec):
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    path = write_video(tmp_path / name, list(noise), 10, codec)
    assert read_frames(path, VideoOptions(frames=6, size=16)).seconds == pytest.approx(4, abs=0.2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert read_frames(path, VideoOptions(frames=1, size=16)).frames.shape == (1, 3, 16, 16)
    with pytest.raises(DataError, match="cut off"):
        read_frames(path, VideoOptions(frames=6, size=16))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac", ".ogg"])
def test_a_sound_that_ends_before_it_says_is_refused_where_the_rest_is_needed(tmp_path, suffix, subtype):
    path = tmp_path / f"a{suffix}"
    try:
        soundfile.write(path, tone(3.0, 8_000), 8_000, subtype=subtype if suffix != ".ogg" else None)
    except (ValueError, soundfile.LibsndfileError):
        pytest.skip("the format has no such samples")
    assert read_audio(path, PAPER).seconds == pytest.approx(3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 10])
    with pytest.raises(DataError, match=r"cut off|cannot be decoded"):
        read_audio(path, PAPER)
    if suffix == ".wav":  # what is needed is there
        found = read_audio(path, AudioOptions(rate=8_000, seconds=0.1, n_fft=128)).samples
        np.testing.assert_allclose(found, tone(0.1, 8_000), atol=1e-4)


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "pcm_s16le"), (".flv", "pcm_s16le"), (".mka", "flac")])
def test_a_container_whose_sound_ends_before_it_says_is_refused(tmp_path, suffix, codec):
    path = write_sound(tmp_path / f"a{suffix}", [tone(3.0, 22_050)], 22_050, codec)
    assert read_audio(path, PAPER).seconds == pytest.approx(3, abs=0.1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(DataError, match=r"cut off|cannot be decoded"):
        read_audio(path, PAPER)


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"])
def test_a_recorders_unknown_length_is_no_promise(tmp_path, size):
    soundfile.write(tmp_path / "a.wav", tone(1.0, 8_000), 8_000)
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content.replace(b"data" + content[40:44], b"data" + size))
    found = read_audio(tmp_path / "a.wav", AudioOptions(rate=8_000, seconds=2.0)).samples
    np.testing.assert_allclose(found, tone(1.0, 8_000), atol=1e-4)


@pytest.mark.parametrize("scale", [2**7, 2**15, 2**23, 2**31])
@pytest.mark.parametrize("suffix", [".wav", ".mkv"])
def test_real_numbers_on_an_integer_scale_are_refused_and_overshoots_clipped(tmp_path, suffix, scale):
    def written(samples):
        if suffix == ".mkv":
            return write_sound(tmp_path / "a.mkv", [samples], 22_050, "pcm_f32le")
        soundfile.write(tmp_path / "a.wav", samples, 22_050, subtype="FLOAT")
        return tmp_path / "a.wav"

    with pytest.raises(DataError, match="unknown scale"):
        read_audio(written(tone(3.0, 22_050) * scale), PAPER)
    np.testing.assert_allclose(read_audio(written(tone(3.0, 22_050) * 2.4), PAPER).samples.max(), 1.2, rtol=1e-3)


def test_silence_and_sounds_of_almost_nothing_are_refused(tmp_path):
    loud = tone(3.0, 8_000)
    for name, samples, said in (
        ("zeros", np.zeros(24_000), "silence"),
        ("dither", np.random.default_rng(0).choice([-1, 0, 1], 24_000) / 2**15, "silence"),
        ("opposite", np.stack([loud, -loud], axis=1), "channels that cancel"),
        ("late", np.concatenate([np.zeros(40_000), loud]), "silence"),
        ("tiny", loud[:2000], "hardly any sound"),
    ):
        soundfile.write(tmp_path / f"{name}.wav", samples, 8_000)
        with pytest.raises(DataError) as caught:
            read_audio(tmp_path / f"{name}.wav", PAPER)
        assert said in str(caught.value)


def test_of_several_streams_none_is_taken(tmp_path):
    with av.open(tmp_path / "two.mkv", "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=22_050, layout="mono") for _ in range(2)]
        for stream, hertz in zip(streams, (440.0, 880.0), strict=True):
            add_sound(container, stream, [tone(1.0, 22_050, hertz)])
    with pytest.raises(DataError, match="several streams of sound"):
        read_audio(tmp_path / "two.mkv", PAPER)
    with av.open(tmp_path / "films.mkv", "w") as container:
        size = {"width": 64, "height": 48, "pix_fmt": "yuv420p"}
        streams = [container.add_stream("mpeg4", rate=10, **size) for _ in range(2)]
        for stream, value in zip(streams, (20, 200), strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), value, np.uint8), format="rgb24")
            container.mux(stream.encode(frame) + stream.encode(None))
    with pytest.raises(DataError, match="several streams of pictures"):
        read_frames(tmp_path / "films.mkv", VideoOptions())


def test_a_cover_picture_is_no_film(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        cover = container.add_stream("mjpeg", rate=1, width=64, height=48, pix_fmt="yuvj420p")
        cover.disposition = Disposition.attached_pic
        sound = container.add_stream("aac", rate=22_050, layout="mono")
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
        container.mux(cover.encode(frame) + cover.encode(None))
        add_sound(container, sound, [tone(1.0, 22_050)])
    with av.open(path) as container:
        assert container.streams.video[0].disposition & Disposition.attached_pic
    with pytest.raises(DataError, match="no pictures"):
        read_frames(path, VideoOptions())


TURNS = {
    "upright": ((1, 0, 0, 1), lambda image: image),
    "right": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "half": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "left": ((0, -1, 1, 0), lambda image: np.rot90(image)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "transposed": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
}


def film_with_matrix(path, matrix, one=1 << 16):
    """An MP4 whose upper left quarter is red, with a display matrix written into its header."""
    image = np.full((64, 64, 3), 30, np.uint8)
    image[:32, :32, 0] = 220
    content = bytearray(write_video(path, [image] * 5, 10, "libx264").read_bytes())
    start = content.find(b"tkhd") + 4 + 4 + 20 + 16  # version 0: five fields of 4 bytes, then 16 more
    a, b, c, d = (round(value * one) for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return image


@pytest.mark.parametrize("turn", TURNS)
def test_films_stand_upright_however_the_telephone_was_held(tmp_path, turn):
    matrix, shown = TURNS[turn]
    image = film_with_matrix(tmp_path / "a.mp4", matrix)
    found = read_frames(tmp_path / "a.mp4", VideoOptions(frames=1, size=64)).frames[0].transpose(1, 2, 0)
    np.testing.assert_allclose(found.astype(int)[4::16, 4::16], shown(image).astype(int)[4::16, 4::16], atol=25)


def test_a_film_at_an_angle_is_refused(tmp_path):
    film_with_matrix(tmp_path / "a.mp4", (0.7071, 0.7071, -0.7071, 0.7071))
    with pytest.raises(DataError, match="at an angle"):
        read_frames(tmp_path / "a.mp4", VideoOptions())


def test_what_is_transparent_in_a_film_is_white(tmp_path):
    image = np.dstack([np.full((48, 64, 3), 40, np.uint8), np.full((48, 64), 255, np.uint8)])
    image[:, :32, 3] = 0
    with av.open(tmp_path / "a.mov", "w") as container:
        stream = container.add_stream("qtrle", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "argb"
        frame = av.VideoFrame.from_ndarray(image, format="rgba")
        container.mux(stream.encode(frame) + stream.encode(None))
    found = read_frames(tmp_path / "a.mov", VideoOptions(frames=1, size=16)).frames[0]
    assert found[:, :, :7].min() == 255
    assert found[:, :, 9:].max() == 40


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
