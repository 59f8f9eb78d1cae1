"""What every published layout of CMU-MOSI comes down to, and the checks that all of them share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError
from omib_cli.sources.cells import is_missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODALITIES = ("text", "audio", "visual")
LIMIT = 3.0
"""Sentiment lies between minus and plus this."""
SEGMENT = re.compile(r"(?P<video>.+?)(\[\d+\]|\$_\$\d+|_\d+)")
"""How utterance ids end: ``video[3]``, ``video$_$3`` (MMSA), ``video_3``."""


@dataclass
class Utterances:
    """N utterances as they were published.

    Attributes
    ----------
    where
        The file, for messages.
    split
        N names of splits.
    texts
        N texts, or None where the layout has none.
    words
        N lists of words that the sequences are aligned with, or None.
    sequences
        By modality N arrays (T_i, D) float32 without padding; T_i is 0 where the modality is missing.
    lengths
        By modality the longest sequence that the file has room for.
    vectors
        By modality (N, D) float32, rows of NaN where the modality is missing.
    non_finite
        By modality how many values were infinite or no number, and became 0.
    learnt_from
        By modality N flags: the features were trained with the label of this utterance.
    """

    where: str
    ids: list[str]
    videos: list[str]
    split: list[str]
    labels: NDArray[np.float64]
    texts: list[str] | None = None
    words: list[list[str]] | None = None
    sequences: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    non_finite: dict[str, int] = field(default_factory=dict)
    learnt_from: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def taken(self, rows: Sequence[int]) -> Utterances:
        """Some of the utterances, in the order of ``rows``."""

        def some(values: list[Any]) -> list[Any]:
            return [values[row] for row in rows]

        index = list(rows)
        return replace(
            self,
            ids=some(self.ids),
            videos=some(self.videos),
            split=some(self.split),
            labels=self.labels[index],
            texts=None if self.texts is None else some(self.texts),
            words=None if self.words is None else some(self.words),
            sequences={name: some(values) for name, values in self.sequences.items()},
            vectors={name: values[index] for name, values in self.vectors.items()},
            learnt_from={name: flags[index] for name, flags in self.learnt_from.items()},
        )

    def finite(self, name: str, values: Any) -> NDArray[np.float32]:
        """Values as float32, with 0 for what is infinite or no number; such values are counted.

        COVAREP's acoustic features have infinities in several releases.
        """
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore"):
            found = np.asarray(values).astype(np.float32)
        wrong = ~np.isfinite(found)
        if wrong.any():
            self.non_finite[name] = self.non_finite.get(name, 0) + int(wrong.sum())
            found[wrong] = 0.0
        return found


def video_of(utterance: str) -> str:
    """The video that an utterance is from, by its id; the id itself where it says nothing of a segment."""
    found = SEGMENT.fullmatch(utterance)
    return found["video"] if found else utterance


def sentiments(values: Sequence[Any], ids: Sequence[str], where: str, *, unknown: bool = False) -> NDArray[np.float64]:
    """Labels (N,) from numbers or arrays of one number.

    Parameters
    ----------
    unknown
        Whether a label may be missing (None, empty or NaN), as of new samples: it is NaN then.

    Raises
    ------
    DataError
        One that is no number, or outside [-3, 3].
    """
    import numpy as np

    found = np.empty(len(ids))
    for row, (value, name) in enumerate(zip(values, ids, strict=True)):
        if unknown and (value is None or is_missing(str(value).strip("[]"))):
            found[row] = np.nan
            continue
        try:
            found[row] = np.asarray(value, dtype=np.float64).reshape(())
        except (TypeError, ValueError):
            found[row] = np.nan
        if not abs(found[row]) <= LIMIT:
            raise DataError(
                "a label that is no sentiment",
                where=f"{where}, utterance {name!r}",
                got=value,
                expected="a number from -3 to 3",
                do="fetch the regression labels; other releases carry classes under the same name",
            )
    return found


def text_of(value: Any, where: str) -> str:
    """A word, a text or an id of a pickle: text, or bytes of UTF-8.

    Raises
    ------
    DataError
        It is neither; ``str()`` of bytes would make tokens of ``b`` and quotes.
    """
    if isinstance(value, str):
        return str(value)
    try:
        if isinstance(value, bytes):
            return value.decode()
    except UnicodeDecodeError:
        pass
    raise DataError("no text", where=where, got=repr(value), expected="text, or bytes of UTF-8")
