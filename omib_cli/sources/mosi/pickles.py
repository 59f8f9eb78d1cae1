"""The two layouts of CMU-MOSI that come as a pickle: MAG-BERT's ``mosi.pkl`` and MMSA's ``aligned_50.pkl``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError, listed
from omib_cli.sources.mosi.utterances import Utterances, sentiments, text_of, video_of
from omib_cli.sources.restricted_pickle import read_pickle
from omib_cli.sources.rows import must_be_as_many, must_be_ids

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAG_BERT, MMSA = "mag-bert", "mmsa"
SHAPES = {
    MAG_BERT: "{train, dev, test}, each a list of ((words, visual, acoustic), label, segment)",
    MMSA: "{train, valid, test}, each a dictionary with raw_text, audio, vision, id and regression_labels",
}
MMSA_NAMES = {"text": "text", "audio": "audio", "visual": "vision"}
MMSA_ROWS = ("regression_labels", "raw_text", *(f"{key}{of}" for key in MMSA_NAMES.values() for of in ("", "_lengths")))
"""Arrays that have a row for each id of their split."""


def read_utterances(path: Path, layout: str, *, new: bool = False) -> Utterances:
    """The utterances in a pickle file.

    Parameters
    ----------
    layout
        ``mag-bert``, ``mmsa``, or ``auto`` for whichever it is.
    new
        Whether these are new samples, which need no label and are in splits of any name.

    Raises
    ------
    DataError
        The pickle carries code, is damaged, or is of another layout.
    """
    where = path.name
    found = read_pickle(path, where)
    there = layout_of(found, new=new)
    expected = [there] if layout == "auto" and there else [MAG_BERT, MMSA] if layout == "auto" else [layout]
    if there not in expected:
        raise DataError(
            "the pickle is of another layout" if there else "a pickle of an unknown layout",
            where=where,
            got=f"{there}: {SHAPES[there]}" if there else _in_words(found),
            expected=" or ".join(f"{name}: {SHAPES[name]}" for name in expected),
            do=f"set data.layout: {there}, or auto"
            if there
            else "fetch mosi.pkl (MAG-BERT, MIB) or aligned_50.pkl "
            "(MMSA); other copies of CMU-MOSI differ under the same file name",
        )
    return _mag_bert(found, where, new=new) if there == MAG_BERT else _mmsa(found, where, new=new)


def layout_of(found: Any, *, new: bool = False) -> str | None:
    """Which layout the contents of a pickle are of, or None; ``new`` samples have neither labels nor given splits."""
    if not isinstance(found, dict) or not (found if new else {"train", "test"} <= set(found)):
        return None
    splits = list(found.values())
    wanted = {"id"} if new else {"id", "regression_labels"}
    if all(isinstance(split, dict) and wanted <= set(split) for split in splits):
        return MMSA
    if all(isinstance(split, (list, tuple)) and all(map(_is_triple, split)) for split in splits):
        return MAG_BERT
    return None


def _is_triple(item: Any) -> bool:
    if not isinstance(item, (list, tuple)) or len(item) != 3:
        return False
    return isinstance(item[0], (list, tuple)) and len(item[0]) == 3


def _in_words(found: Any) -> str:
    if not isinstance(found, dict):
        return f"a {type(found).__name__}"
    inside = next((split for split in found.values() if isinstance(split, dict)), {})
    return f"keys {listed(found)}" + (f", with {listed(inside)} inside" if inside else "")


def _mag_bert(found: Mapping[str, Sequence[Any]], where: str, *, new: bool) -> Utterances:
    """Words with the vectors of each: visual before acoustic, as the file has them."""
    items = [(split, *item) for split, every in found.items() for item in every]
    ids = [text_of(segment, f"{where}, segment") for *_, segment in items]
    must_be_ids(ids, len(items), where, "utterance")
    labels = sentiments([label for _, _, label, _ in items], ids, where, unknown=new)
    made = Utterances(where, ids, [video_of(one) for one in ids], [split for split, *_ in items], labels)
    made.words = [
        [text_of(word, f"{where}, utterance {one!r}") for word in words]
        for one, (_, (words, _, _), _, _) in zip(ids, items, strict=True)
    ]
    made.texts = [" ".join(words) for words in made.words]
    for place, name in ((2, "audio"), (1, "visual")):
        made.sequences[name] = [made.finite(name, parts[place]) for _, parts, _, _ in items]
        _must_be_aligned(made.sequences[name], made.words, ids, f"{where}, {name}")
    return made


def _must_be_aligned(
    sequences: Sequence[NDArray[np.float32]], words: Sequence[Sequence[str]], ids: Sequence[str], where: str
) -> None:
    width = next((one.shape[1] for one in sequences if one.ndim == 2), 0)
    for one, own, name in zip(sequences, words, ids, strict=True):
        if one.shape != (len(own), width):
            raise DataError(
                "features that do not fit the words",
                where=f"{where}, utterance {name!r}",
                got=f"shape {one.shape}",
                expected=f"({len(own)}, {width}): a vector for each word",
            )


def _mmsa(found: Mapping[str, Mapping[str, Any]], where: str, *, new: bool) -> Utterances:
    """Padded arrays (N, T, D); the padding is taken off."""
    for fold, part in found.items():
        for key in (key for key in MMSA_ROWS if key in part):
            must_be_as_many(len(part[key]), len(part["id"]), f"{where}, {fold}/{key}", "ids")
    ids = [text_of(one, f"{where}, {fold}/id") for fold, part in found.items() for one in part["id"]]
    must_be_ids(ids, sum(len(part["id"]) for part in found.values()), where, "utterance")
    said = [part.get("regression_labels", [None] * len(part["id"])) for part in found.values()]
    labels = sentiments([label for part in said for label in part], ids, where, unknown=new)
    split = [name for name, part in found.items() for _ in part["id"]]
    made = Utterances(where, ids, [video_of(one) for one in ids], split, labels)
    if _in_all("raw_text", found, where):
        made.texts = [text_of(text, f"{where}, {s}/raw_text") for s, part in found.items() for text in part["raw_text"]]
    for name, key in MMSA_NAMES.items():
        if _in_all(key, found, where):
            parts = [_sequences(made, name, part, f"{where}, {fold}/{key}") for fold, part in found.items()]
            made.sequences[name] = _without_padding(parts, ids)
            made.lengths[name] = max(part.values.shape[1] for part in parts)
    return made


def _in_all(key: str, found: Mapping[str, Mapping[str, Any]], where: str) -> bool:
    """Whether the splits have an array; refused if only some have."""
    has = [split for split, part in found.items() if key in part]
    if has and len(has) < len(found):
        raise DataError(f"not every split has {key!r}", where=where, got=listed(has), expected=listed(found))
    return bool(has)


@dataclass(frozen=True)
class _Padded:
    """Sequences of one split, padded to one shape (N, T, D).

    Attributes
    ----------
    lengths
        (N,) where the file states them, else None.
    mask
        (N, T) where the file says which elements are real, else None. Text models give padding values too.
    """

    where: str
    values: NDArray[np.float32]
    lengths: NDArray[np.float64] | None
    mask: NDArray[np.bool_] | None

    def outside(self, *, front: bool) -> NDArray[np.bool_]:
        """Which elements (N, T) would be cut off though they are not zero, if the padding were there."""
        import numpy as np

        assert self.lengths is not None
        at, count, room = np.arange(self.values.shape[1]), self.lengths[:, np.newaxis], self.values.shape[1]
        padding = at < room - count if front else at >= count
        return np.asarray(self.values.any(axis=2) & padding)

    def real(self, *, front: bool) -> list[NDArray[np.float32]]:
        """Each sequence without padding: by its length, or from the first to the last element that is not zero."""
        import numpy as np

        if self.mask is not None:
            return [row[real] for row, real in zip(self.values, self.mask, strict=True)]
        if self.lengths is None:
            filled = [np.flatnonzero(row.any(axis=1)) for row in self.values]
            ranges = [(at[0], at[-1] + 1) if len(at) else (0, 0) for at in filled]
        else:
            room = self.values.shape[1]
            ranges = [(room - n, room) if front else (0, n) for n in self.lengths.astype(int).tolist()]
        return [row[start:stop] for row, (start, stop) in zip(self.values, ranges, strict=True)]


def _sequences(made: Utterances, name: str, part: Mapping[str, Any], where: str) -> _Padded:
    import numpy as np

    key = MMSA_NAMES[name]
    values = np.asarray(part[key])
    if values.ndim != 3 or values.dtype.kind not in "biuf":
        raise DataError("not an array of sequences", where=where, got=f"shape {values.shape}, {values.dtype}")
    lengths = part.get(f"{key}_lengths")
    mask = None
    if lengths is None and name == "text" and "text_bert" in part:
        mask = np.asarray(part["text_bert"])[:, 1].astype(bool)
        if mask.shape != values.shape[:2]:
            wanted = f"{values.shape[:2]}, as the features"
            raise DataError("a mask of another shape", where=f"{where}_bert", got=mask.shape, expected=wanted)
    if lengths is not None:
        lengths = np.asarray(lengths, dtype=np.float64).reshape(len(values))
        odd = [one for one in lengths.tolist() if not 0 <= one <= values.shape[1] or one != int(one)]
        if odd:
            wanted = f"whole numbers up to {values.shape[1]}"
            raise DataError("lengths that sequences cannot have", where=where, got=listed(odd), expected=wanted)
    return _Padded(where, made.finite(name, values), lengths, mask)


def _without_padding(parts: Sequence[_Padded], ids: Sequence[str]) -> list[NDArray[np.float32]]:
    """The real elements of all sequences.

    Where lengths are stated, padding stands at the end in most releases and in front in some. Which, is asked of all
    sequences of the file together: one alone may begin or end with zeros of its own.

    Raises
    ------
    DataError
        Elements outside the stated lengths wherever the padding is.
    """
    import numpy as np

    widths = {part.values.shape[2]: part.where for part in parts}
    if len(widths) > 1:
        raise DataError("features of different widths", where=", ".join(widths.values()), got=listed(widths))
    stated = [part for part in parts if part.lengths is not None]
    front = any(part.outside(front=False).any() for part in stated)
    wrong = [part for part in stated if front and part.outside(front=True).any()]
    if wrong:
        row = int(np.flatnonzero(wrong[0].outside(front=True).any(axis=1))[0])
        filled = np.flatnonzero(wrong[0].values[row].any(axis=1)).tolist()
        before = sum(len(part.values) for part in parts[: parts.index(wrong[0])])
        raise DataError(
            "stated lengths that do not fit the sequences",
            where=f"{wrong[0].where}, utterance {ids[before + row]!r}",
            got=f"a length of {wrong[0].lengths[row]:g}; the elements {listed(filled)} are not zero",  # type: ignore[index]
            expected="as many elements as the length says, in all splits at the beginning or in all at the end",
        )
    return [one for part in parts for one in part.real(front=front)]
