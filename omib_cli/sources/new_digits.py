"""New handwritten and spoken digits for a trained model: the n-th image with the n-th recording, labelled or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, ModalityPlan
from omib_cli.artifacts.prepared import Prepared
from omib_cli.errors import DataError
from omib_cli.sources.digit_files import Recording, read_idx, read_recordings
from omib_cli.sources.labels import known_labels
from omib_cli.sources.media.audio import filled, spectrogram

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.media import AudioOptions

IMAGES, LABELS, RECORDINGS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "recordings.tar.xz"


class NewDigits:
    """The digits of a folder, in the order of the images and of the recordings' names.

    Either file may be missing, and its modality then is; so may the labels.

    Parameters
    ----------
    like
        What the model's data were prepared with.
    warnings
        Told what is missing, and how digits are paired.
    """

    def __init__(self, folder: Path, options: AudioOptions, like: Prepared, warnings: list[str]) -> None:
        self._folder, self._options, self._like, self._warnings = folder, options, like, warnings
        self._images: NDArray[np.uint8] | None = None
        self._recordings: list[Recording] = []
        self._labels: NDArray[np.float64] | None = None

    def plan(self) -> DatasetPlan:
        """Read everything.

        Raises
        ------
        DataError
            Nothing is there, or images, recordings and labels of different numbers.
        """
        import numpy as np

        ids = self._read()
        labels = self._folder / LABELS
        said = [str(code) for code in read_idx(labels, 1).tolist()] if labels.is_file() else [""] * len(ids)
        if len(said) != len(ids):
            raise DataError("labels of another number", where=labels, got=f"{len(said)}", expected=f"{len(ids)} digits")
        self._labels = known_labels(said, ids, self._like.classes, LABELS, self._warnings)
        return DatasetPlan(
            ids=ids,
            split=np.full(len(ids), fmt.ALL_SPLITS.index(fmt.NEW), dtype=np.uint8),
            task="classification",
            classes=self._like.classes,
            modalities={
                name: ModalityPlan(one.shape, one.kind, preprocessing=one.fitted)
                for name, one in self._like.modalities.items()
            },
        )

    def block(self, start: int, stop: int) -> Block:
        """Rows ``start`` to ``stop`` of what :meth:`plan` made."""
        import numpy as np

        assert self._labels is not None, "plan() comes first"
        values, present = {}, {}
        for name, one in self._like.modalities.items():
            there = self._images is not None if name == "image" else bool(self._recordings)
            present[name] = np.full(stop - start, there)
            values[name] = np.zeros((stop - start, *one.shape), dtype=fmt.DTYPES[one.kind])
            if there and name == "image":
                values[name] = np.asarray(self._images)[start:stop]
            elif there:
                fitted = one.fitted["offset"], one.fitted["scale"]
                sounds = [filled(each.samples, self._options) for each in self._recordings[start:stop]]
                values[name] = np.stack([scaled_spectrogram(sound, self._options, *fitted) for sound in sounds])
        return Block(values, present, self._labels[start:stop])

    def _read(self) -> list[str]:
        """Read images and recordings, as far as the model has them and they are there; the samples' ids."""
        import numpy as np

        named = {"image": IMAGES, "audio": RECORDINGS}
        files = {name: self._folder / named[name] for name in self._like.modalities}
        there = {name: path for name, path in files.items() if path.is_file()}
        if not there:
            raise DataError("no digit is here", where=self._folder, expected=f"{IMAGES} or {RECORDINGS}")
        self._warnings += [
            f"no {path.name}: {name} is missing in all" for name, path in files.items() if name not in there
        ]
        if "image" in there:
            self._images = read_idx(files["image"], 3)[:, np.newaxis]
        if "audio" in there:
            self._recordings = read_recordings(files["audio"], self._options, new=True)
        counts = {name: len(self._recordings if name == "audio" else self._images) for name in there}  # type: ignore[arg-type]
        if len(set(counts.values())) > 1:
            raise DataError(
                "images and recordings cannot be paired one by one",
                where=self._folder,
                got=", ".join(f"{count} of {name}" for name, count in counts.items()),
                expected="as many of each: the n-th image and the n-th recording, by name, are one sample",
            )
        if len(there) > 1:
            self._warnings.append("the n-th image and the n-th recording, by name, are taken for one sample")
        sounds = [f"-{one.name}" for one in self._recordings] or [""] * max(counts.values())
        return [f"{place:05d}{sound}" for place, sound in enumerate(sounds)]


def scaled_spectrogram(
    sound: NDArray[np.float64], options: AudioOptions, offset: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(F, T) of a sound, each frequency standardised by ``offset`` and ``scale`` (F,)."""
    import numpy as np

    raw = spectrogram(sound, options)
    return ((raw - offset[:, np.newaxis]) / scale[:, np.newaxis]).astype(np.float32)
