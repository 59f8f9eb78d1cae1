"""Handwritten digits of MNIST and spoken ones of the Free Spoken Digit Dataset, paired as in AV-MNIST."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, ModalityPlan
from omib_cli.artifacts.files import must_exist
from omib_cli.errors import DataError, RecipeError
from omib_cli.runtime.seeds import derive_seed
from omib_cli.sources.digit_files import Recording, read_idx, read_recordings
from omib_cli.sources.media.audio import filled, spectrogram
from omib_cli.sources.new_digits import IMAGES, LABELS, RECORDINGS, NewDigits, scaled_spectrogram
from omib_cli.sources.splits import TEST, TRAIN, VALIDATION
from omib_cli.sources.table_files import input_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.artifacts.prepared import Prepared
    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.media import AvDigitsOptions

STREAMS = ("image", "audio")
CLASSES = 10


class AvDigitsSource:
    """Pairs of an image (1, 28, 28) and the spectrogram (F, T) of a recording of the same digit.

    Speakers are divided at random, and images in the same shares; a pair is made within one side, so that neither an
    image nor a speaker of the test split is met in training. Each frequency of the spectrograms is standardised by its
    mean and deviation over the training speakers' recordings. What is drawn depends on the recipe's seed and nothing
    else. Everything is small enough to be held in memory.

    Parameters
    ----------
    recipe
        Its modalities are ``image``, ``audio``, or both.
    input_path
        The folder.
    like
        What a trained model's data were prepared with: image and recording of equal rank, by name, are then a new
        sample, and either file may be missing; so may the labels, without which no recording is paired by its digit.

    Raises
    ------
    RecipeError, DataError
        Other modalities or another task; no such folder.
    """

    def __init__(self, recipe: Recipe, input_path: Path | None, like: Prepared | None = None) -> None:
        self.options = cast("AvDigitsOptions", recipe.data)
        self.names, self.seed, self.warnings = list(recipe.modalities), recipe.seed, list[str]()
        self.folder = input_folder(input_path, recipe.name)
        self._strength: dict[str, float] = dict(self.options.corrupt.items())
        odd = [name for name in self.names if name not in STREAMS]
        problems = [f"modalities.{name}: digits have the modalities {' and '.join(STREAMS)}" for name in odd]
        problems += ["task.kind: the labels of digits are classes"] if recipe.task.kind != "classification" else []
        if problems:
            raise RecipeError(recipe.name, problems)
        self._new = None if like is None else NewDigits(self.folder, self.options.audio, like, self.warnings)

    def files(self) -> dict[str, str]:
        """SHA-256 of the three files."""
        found = {}
        for name in (IMAGES, LABELS, RECORDINGS):
            if self._new is not None and not (self.folder / name).is_file():
                continue
            with must_exist(self.folder / name, "file of digits").open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def plan(self) -> DatasetPlan:
        """Read everything, divide the speakers and the images, pair.

        Raises
        ------
        DataError
            A file that is missing, damaged or another one; a digit that no speaker of a split speaks.
        """
        import numpy as np

        if self._new is not None:
            return self._new.plan()
        images, digits = read_idx(self.folder / IMAGES, 3), read_idx(self.folder / LABELS, 1)
        if len(images) != len(digits) or digits.max(initial=0) >= CLASSES:
            raise DataError(
                "images and labels do not belong together",
                where=self.folder,
                got=f"{len(images)} images, {len(digits)} labels up to {digits.max(initial=0)}",
            )
        self._images, self._digits = images[:, np.newaxis], digits.astype(np.int64)
        self._recordings = read_recordings(self.folder / RECORDINGS, self.options.audio)
        sides = self._sides()
        self._pairs, self._split = self._paired(sides)
        self._offset, self._scale = self._fitted([one for one in self._recordings if sides[one.speaker] == TRAIN])
        fitted = {"offset": self._offset, "scale": self._scale}
        shape = (len(self._offset), self.options.audio.samples // self.options.audio.hop + 1)
        plans = {
            "image": ModalityPlan(self._images.shape[1:], fmt.IMAGE),
            "audio": ModalityPlan(shape, fmt.SPECTROGRAM, preprocessing=fitted),
        }
        return DatasetPlan(
            ids=[f"{image:05d}-{self._recordings[sound].name}" for image, sound in self._pairs.tolist()],
            split=self._split,
            task="classification",
            classes=[str(digit) for digit in range(CLASSES)],
            modalities={name: plans[name] for name in self.names},
            facts={"speakers": {name: fmt.SPLITS[side] for name, side in sorted(sides.items())}},
        )

    def block(self, start: int, stop: int) -> Block:
        """Rows ``start`` to ``stop`` of what :meth:`plan` made."""
        import numpy as np

        if self._new is not None:
            return self._new.block(start, stop)
        made: dict[str, Callable[[int], NDArray[Any]]] = {"image": self._image, "audio": self._audio}
        return Block(
            values={name: np.stack([made[name](row) for row in range(start, stop)]) for name in self.names},
            present={name: np.ones(stop - start, dtype=bool) for name in self.names},
            labels=self._digits[self._pairs[start:stop, 0]].astype(np.float64),
        )

    def _sides(self) -> dict[str, int]:
        """The split of each speaker."""
        names = sorted({recording.speaker for recording in self._recordings})
        test, validation = self.options.test_speakers, self.options.validation_speakers
        if test + validation >= len(names):
            raise DataError(
                "no speaker is left for training",
                where=self.folder / RECORDINGS,
                got=f"{len(names)} speakers, {test} for test and {validation} for validation",
            )
        order = [names[place] for place in _generator(self.seed, "speakers").permutation(len(names)).tolist()]
        codes = [TEST] * test + [VALIDATION] * validation
        return dict(zip(order, codes + [TRAIN] * (len(names) - len(codes)), strict=True))

    def _paired(self, sides: dict[str, int]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Image and recording of each pair (N, 2), ordered by split, and the split (N,)."""
        import numpy as np

        wanted = self.options.samples or len(self._images)
        if wanted > len(self._images):
            raise DataError("more pairs than images", where=self.folder, got=wanted, expected=f"{len(self._images)}")
        order = _generator(self.seed, "images").permutation(len(self._images))[:wanted]
        shares = np.cumsum([list(sides.values()).count(code) / len(sides) for code in range(len(fmt.SPLITS))])
        split = np.searchsorted(np.round(shares * wanted), np.arange(wanted), side="right").astype(np.uint8)
        pairs = np.stack([order, np.full(wanted, -1)], axis=1)
        for side in np.unique(split).tolist():
            for digit in range(CLASSES):
                places = np.flatnonzero((split == side) & (self._digits[order] == digit))
                pairs[places, 1] = self._spoken(digit, side, sides, len(places))
        return pairs, split

    def _spoken(self, digit: int, side: int, sides: dict[str, int], count: int) -> NDArray[np.int64]:
        """Recordings (count,) of a digit by the speakers of a side, each as often as the others or once more."""
        import numpy as np

        known = [
            place for place, one in enumerate(self._recordings) if one.digit == digit and sides[one.speaker] == side
        ]
        if count and not known:
            raise DataError(
                f"no recording of {digit} for the {fmt.SPLITS[side]} split",
                where=self.folder / RECORDINGS,
                do="give the split more speakers (`data.test_speakers`, `data.validation_speakers`)",
            )
        generator = _generator(self.seed, "recordings", side, digit)
        rounds = [generator.permutation(known) for _ in range(-(-count // max(1, len(known))))]
        return np.concatenate([*rounds, np.zeros(0, dtype=np.int64)])[:count].astype(np.int64)

    def _fitted(self, training: list[Recording]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of each frequency (F,) over the training recordings."""
        import numpy as np

        every = [spectrogram(filled(one.samples, self.options.audio), self.options.audio) for one in training]
        frames = np.concatenate(every, axis=1).astype(np.float64)
        return frames.mean(axis=1), np.maximum(frames.std(axis=1), 1e-6)

    def _image(self, row: int) -> NDArray[np.uint8]:
        """(1, 28, 28), with noise where the options say so."""
        import numpy as np

        image: NDArray[np.uint8] = self._images[self._pairs[row, 0]]
        noise = self._noise("image", row, image.shape)
        return image if noise is None else np.clip(np.round(image + 255 * noise), 0, 255).astype(np.uint8)

    def _audio(self, row: int) -> NDArray[np.float32]:
        """(F, T), standardised, of a recording with noise where the options say so."""
        import numpy as np

        sound = filled(self._recordings[self._pairs[row, 1]].samples, self.options.audio)
        noise = self._noise("audio", row, sound.shape)
        if noise is not None:
            sound = sound + noise * np.sqrt(np.mean(sound**2))
        return scaled_spectrogram(sound, self.options.audio, self._offset, self._scale)

    def _noise(self, name: str, row: int, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
        """Gaussian noise of the strength asked for, of the row's own; None for a sample that is to stay as it is."""
        strength = self._strength.get(name)
        if strength is None or self._split[row] != TEST:
            return None
        return strength * _generator(self.seed, "corrupt", name, row).standard_normal(shape)


def _generator(seed: int, *purpose: str | int) -> np.random.Generator:
    import numpy as np

    return np.random.Generator(np.random.Philox(key=derive_seed(seed, "av-digits", *purpose)))
