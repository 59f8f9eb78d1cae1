"""Sound files, and the sound of video files, to log-magnitude spectrograms (as OGM-GE prepares CREMA-D)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil, gcd
from pathlib import Path
from typing import IO, TYPE_CHECKING

from omib_cli.errors import DataError
from omib_cli.sources.media.container import Demuxer
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.media import AudioOptions

SOUND_FILES = frozenset({".wav", ".flac", ".ogg", ".aif", ".aiff"})
"""Suffixes that the soundfile library reads; everything else is a container for PyAV."""
LOUDEST = 2.0
"""Decoders overshoot 1 a little; whole numbers in a file of real ones go beyond by far."""
SILENCE = 1e-4
"""Three steps of 16 bits: nothing that could be heard."""
HARDLY = 10
"""How many times a sound may be repeated."""
UNKNOWN = 2**31 - 2**16
"""From here on a length in a header is what recorders write that do not know it (2^31 or 2^32, or a little less)."""
PROMISED = re.compile(r": (\d+) \(should be (\d+)\)")
"""How libsndfile writes that a header is wrong about a length."""
MARGIN = 0.1
"""Seconds read beyond those that are needed, so that resampling does not see an edge."""


@dataclass(frozen=True)
class Sound:
    """The beginning of a sound: samples (n,) float64, one channel, and the seconds that the whole of it lasts."""

    samples: NDArray[np.float64]
    seconds: float


def read_audio(path: Path, options: AudioOptions) -> Sound:
    """The beginning of a sound at ``options.rate``, no longer than needed, at least one sample.

    Raises
    ------
    DataError
        The file cannot be decoded, ends before it says, has several sounds, or what :func:`prepared` refuses.
    """
    seconds = options.seconds + MARGIN
    read = read_sound_file if path.suffix.lower() in SOUND_FILES else _read_container
    channels, rate, length = read(path, path, seconds)
    samples = prepared(channels, rate, options, path)
    return Sound(samples[: options.samples], length)


def prepared(channels: NDArray[np.float64], rate: int, options: AudioOptions, where: object) -> NDArray[np.float64]:
    """The mean of the channels (n, C) at ``options.rate``: (m,), whatever file they came from.

    Raises
    ------
    DataError
        No sample, or hardly any; samples that are not finite; silence; samples on another scale than -1 to 1.
    """
    samples = _one_channel(channels, where)
    if len(samples) / rate * HARDLY < options.seconds:
        raise DataError(
            "hardly any sound",
            where=where,
            got=f"{len(samples) / rate:.3g} s",
            expected=f"at least a tenth of the {options.seconds:g} s that it is repeated to fill",
        )
    return resampled(samples, rate, options.rate)


def _one_channel(channels: NDArray[np.float64], where: object) -> NDArray[np.float64]:
    import numpy as np

    if not channels.size:
        raise DataError("no sound", where=where, got="0 samples")
    if not np.isfinite(channels).all():
        raise DataError("the sound is damaged", where=where, got="samples that are no finite numbers")
    loudest = float(np.abs(channels).max())
    if loudest > LOUDEST:
        raise DataError(
            "sound on an unknown scale",
            where=where,
            got=f"samples up to {loudest:g}",
            expected="real numbers from -1 to 1, or whole numbers (16, 24 or 32 bits)",
            do="divide the samples by the largest value of their scale (32768 for 16 bits) and write them again",
        )
    samples: NDArray[np.float64] = channels.mean(axis=1)
    if float(np.abs(samples).max()) < SILENCE:
        got = "channels that cancel each other" if loudest >= SILENCE else f"no sample above {SILENCE:g}"
        raise DataError("silence", where=where, got=f"{got} in {counted(len(samples), 'sample')}")
    return samples


def resampled(samples: NDArray[np.float64], rate: int, wanted: int) -> NDArray[np.float64]:
    """A sound (n,) at another rate, through an anti-aliasing polyphase filter."""
    from scipy.signal import resample_poly

    if rate == wanted:
        return samples
    common = gcd(rate, wanted)
    found: NDArray[np.float64] = resample_poly(samples, wanted // common, rate // common)
    return found


def filled(samples: NDArray[np.float64], options: AudioOptions) -> NDArray[np.float64]:
    """A sound cut to ``options.samples``, or repeated until it is as long."""
    import numpy as np

    return np.resize(samples, options.samples)


def spectrogram(samples: NDArray[np.float64], options: AudioOptions) -> NDArray[np.float32]:
    """ln(|S| + floor) of a sound in [-1, 1], beyond which it is clipped: (n,) to (n_fft / 2 + 1, n // hop + 1).

    With ``options.level`` the sound is first brought to that root mean square; silence stays silence.
    S is the short-time Fourier transform under a periodic Hann window; frame t is centred on sample t * hop, the sound
    being mirrored at its ends.
    """
    import numpy as np
    from scipy.signal import get_window

    loudness = float(np.sqrt(np.mean(np.square(samples))))
    if options.level is not None and loudness > 0.0:
        samples = samples * (options.level / loudness)
    half = options.n_fft // 2
    padded = np.pad(np.clip(samples, -1.0, 1.0), half, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, options.n_fft)[:: options.hop]
    magnitude = np.abs(np.fft.rfft(frames * get_window("hann", options.n_fft), axis=1))
    return np.log(magnitude.T + options.floor).astype(np.float32)


def read_sound_file(file: Path | IO[bytes], where: object, seconds: float) -> tuple[NDArray[np.float64], int, float]:
    """The first seconds of a sound file: samples (n, C) in [-1, 1], their rate, and the seconds of the whole.

    Raises
    ------
    DataError
        It cannot be decoded, or ends before the wanted part does and before its header says.
    """
    import soundfile

    try:
        with soundfile.SoundFile(file) as opened:
            rate, length = opened.samplerate, opened.frames / opened.samplerate
            channels = opened.read(ceil(seconds * rate), always_2d=True)
            lost = _lost(opened.extra_info) or len(channels) < min(opened.frames, ceil(seconds * rate))
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError("the sound cannot be decoded", where=where, got=error) from error
    if lost and len(channels) < seconds * rate:
        raise DataError(
            "the file is cut off",
            where=where,
            got=f"it ends after {len(channels) / rate:.2f} s",
            expected="as much as its header says",
            do="copy or download it again",
        )
    return channels, rate, length


def _lost(said: str) -> bool:
    """Whether libsndfile's account of a header finds less than the header promises; a recorder's "unknown" is none."""
    return any(int(found) < int(stated) < UNKNOWN for stated, found in PROMISED.findall(said))


def _read_container(path: Path, where: object, seconds: float) -> tuple[NDArray[np.float64], int, float]:
    import av
    import numpy as np

    pieces: list[NDArray[np.float64]] = []
    try:
        with av.open(path) as container:
            demuxer = Demuxer(container, "audio", path)
            rate = demuxer.stream.rate
            resampler = av.AudioResampler(format="fltp", rate=rate)  # the layout stays: mixing would scale
            for packet in demuxer.packets():
                for frame in packet.decode():
                    frame.pts = None  # a gap in the time stamps is no silence
                    pieces += [one.to_ndarray().T.astype(np.float64) for one in resampler.resample(frame)]
                if sum(map(len, pieces)) > seconds * rate:
                    break
            else:
                demuxer.must_be_whole()
            channels = np.concatenate(pieces) if pieces else np.zeros((0, 1))
    except (av.FFmpegError, OSError, ValueError) as error:  # ValueError: rate or channels change on the way
        raise DataError("the sound cannot be decoded", where=where, got=error) from error
    return channels, rate, max(demuxer.length, len(channels) / rate)
