"""Utterances of different lengths as rows of one shape: standardised, repeated for word pieces, padded on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.errors import MismatchError
from omib_cli.sources.preprocessing import Fitted, fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.artifacts.prepared import PreparedModality


@dataclass(frozen=True)
class KeepingAll:
    """How features are scaled: constant ones stay, since the shape of a published feature is part of its meaning."""

    standardise: str
    impute: str = "zero"
    constant: str = "keep"


@dataclass(frozen=True)
class FeatureRows:
    """One modality of N utterances.

    Attributes
    ----------
    kind
        ``tokens``, ``sequence`` or ``vector``.
    values
        N arrays: (L_i,) ids, (T_i, D) features or (D,) features; whatever where the modality is missing.
    present
        (N,) whether the utterance has the modality.
    length
        Tokens or elements to which rows are padded, or cut; 0 for vectors.
    """

    kind: str
    values: Sequence[NDArray[Any]]
    present: NDArray[np.bool_]
    length: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row in the dataset."""
        if self.kind == fmt.TOKENS:
            return (self.length,)
        width = self.values[0].shape[-1]
        return (self.length, width + 1) if self.kind == fmt.SEQUENCE else (width,)

    def taken(self, order: NDArray[np.int64]) -> FeatureRows:
        """The rows in another order."""
        return replace(self, values=[self.values[row] for row in order.tolist()], present=self.present[order])

    def block(self, start: int, stop: int) -> NDArray[Any]:
        """FeatureRows ``start`` to ``stop`` as the dataset stores them, padded at the end."""
        import numpy as np

        fill = -1 if self.kind == fmt.TOKENS else 0
        block = np.full((stop - start, *self.shape), fill, dtype=fmt.DTYPES[self.kind])
        for place, row in enumerate(range(start, stop)):
            value = self.values[row]
            if not self.present[row]:
                block[place] = 0
            elif self.kind == fmt.VECTOR:
                block[place] = value
            elif self.kind == fmt.TOKENS:
                block[place, : len(value)] = value
            else:
                real = value[: self.length]
                block[place, : len(real), :-1] = real
                block[place, : len(real), -1] = 1.0
        return block

    def standardised(self, training: NDArray[np.bool_], scaling: KeepingAll, where: str) -> tuple[FeatureRows, Fitted]:
        """Features scaled by what the real elements of the training rows (N,) say."""
        import numpy as np

        chosen = [self.values[row] for row in np.flatnonzero(training & self.present).tolist()]
        width = self.values[0].shape[-1]
        elements = np.concatenate([one.reshape(-1, width) for one in chosen] or [np.zeros((0, width))])
        columns = [str(column) for column in range(width)]
        fitted = fit(elements.astype(np.float64), np.arange(len(elements)), columns, scaling, where)
        scaled = [((one - fitted.offset) / fitted.scale).astype(np.float32) for one in self.values]
        return replace(self, values=scaled), fitted


def scaled_like(rows: FeatureRows, like: PreparedModality, where: str) -> FeatureRows:
    """Features scaled by what a trained model's data taught, in rows of the length that it knows.

    Raises
    ------
    MismatchError
        Features of another width.
    """
    import numpy as np

    fitted = Fitted.of(like.fitted)
    width = rows.values[0].shape[-1]
    if width != len(fitted.offset):
        raise MismatchError(
            "not as many features as the model was trained on",
            where=where,
            got=f"{width}",
            expected=f"{len(fitted.offset)}",
            do="use the features, of the same release, that the training data have",
        )
    scaled = [((one - fitted.offset) / fitted.scale).astype(np.float32) for one in rows.values]
    return replace(rows, values=scaled, length=like.shape[0] if rows.kind == fmt.SEQUENCE else 0)


def repeated(words: NDArray[np.float32], belongs: NDArray[np.int64]) -> NDArray[np.float32]:
    """A word's vector for each of its pieces, zeros for special tokens: (W, D) and (L,) to (L, D)."""
    import numpy as np

    if not len(words):
        return np.zeros((len(belongs), words.shape[1]), dtype=np.float32)
    found: NDArray[np.float32] = words[np.maximum(belongs, 0)]
    found[belongs < 0] = 0.0
    return found


def means(sequences: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The mean element of each sequence, zeros of an empty one."""
    import numpy as np

    return [one.mean(axis=0) if len(one) else np.zeros(one.shape[1], dtype=np.float32) for one in sequences]
