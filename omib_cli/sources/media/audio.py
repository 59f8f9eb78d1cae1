"""Sound files, and the sound of video files, to log-magnitude spectrograms (as OGM-GE prepares CREMA-D)."""

from __future__ import annotations

from math import ceil, gcd
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.media import AudioOptions

SOUND_FILES = frozenset({".wav", ".flac", ".ogg", ".aif", ".aiff"})
"""Suffixes that the soundfile library reads; everything else is a container for PyAV."""
MARGIN = 0.1
"""Seconds read beyond those that are needed, so that resampling does not see an edge."""


def read_audio(path: Path, options: AudioOptions) -> NDArray[np.float64]:
    """The beginning of a sound, one channel, at ``options.rate``: (n,) float64, no longer than needed, at least 1.

    Raises
    ------
    DataError
        The file cannot be decoded, holds no sound, or numbers that are not finite.
    """
    import numpy as np

    seconds = options.seconds + MARGIN
    read = _read_sound_file if path.suffix.lower() in SOUND_FILES else _read_container
    samples, rate = read(path, seconds)
    if not len(samples):
        raise DataError("no sound", where=path, got="0 samples")
    if not np.isfinite(samples).all():
        raise DataError("the sound is damaged", where=path, got="samples that are no finite numbers")
    return resampled(samples, rate, options.rate)[: options.samples]


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


def _read_sound_file(path: Path, seconds: float) -> tuple[NDArray[np.float64], int]:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            channels = file.read(ceil(seconds * file.samplerate), always_2d=True)
            return channels.mean(axis=1), file.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError("the sound cannot be decoded", where=path, got=error) from error


def _read_container(path: Path, seconds: float) -> tuple[NDArray[np.float64], int]:
    import av
    import numpy as np

    pieces: list[NDArray[np.float64]] = []
    try:
        with av.open(path) as container:
            if not container.streams.audio:
                raise DataError("no sound", where=path, got="no audio stream")
            rate = container.streams.audio[0].rate
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
            for frame in container.decode(audio=0):
                frame.pts = None  # a gap in the time stamps is no silence
                pieces += [one.to_ndarray()[0].astype(np.float64) for one in resampler.resample(frame)]
                if sum(map(len, pieces)) > seconds * rate:
                    break
    except (av.FFmpegError, OSError) as error:
        if not pieces:
            raise DataError("the sound cannot be decoded", where=path, got=error) from error
    return np.concatenate(pieces) if pieces else np.zeros(0), rate
