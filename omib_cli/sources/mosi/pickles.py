"""The two layouts of CMU-MOSI that come as a pickle: MAG-BERT's ``mosi.pkl`` and MMSA's ``aligned_50.pkl``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError
from omib_cli.sources.mosi.utterances import Utterances, must_be_unique, sentiments, video_of
from omib_cli.sources.restricted_pickle import read_pickle
from omib_cli.sources.sheets import listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAG_BERT, MMSA = "mag-bert", "mmsa"
SHAPES = {
    MAG_BERT: "{train, dev, test}, each a list of ((words, visual, acoustic), label, segment)",
    MMSA: "{train, valid, test}, each a dictionary with raw_text, audio, vision, id and regression_labels",
}
MMSA_NAMES = {"text": "text", "audio": "audio", "visual": "vision"}


def read_utterances(path: Path, layout: str) -> Utterances:
    """The utterances in a pickle file.

    Parameters
    ----------
    layout
        ``mag-bert``, ``mmsa``, or ``auto`` for whichever it is.

    Raises
    ------
    DataError
        The pickle carries code, is damaged, or is of another layout.
    """
    where = path.name
    found = read_pickle(path, where)
    there = layout_of(found)
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
    return _mag_bert(found, where) if there == MAG_BERT else _mmsa(found, where)


def layout_of(found: Any) -> str | None:
    """Which layout the contents of a pickle are of, or None."""
    if not isinstance(found, dict) or not {"train", "test"} <= set(found):
        return None
    splits = list(found.values())
    if all(isinstance(split, dict) and {"id", "regression_labels"} <= set(split) for split in splits):
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


def _mag_bert(found: Mapping[str, Sequence[Any]], where: str) -> Utterances:
    """Words with the vectors of each: visual before acoustic, as the file has them."""
    items = [(split, *item) for split, every in found.items() for item in every]
    ids = [str(segment) for *_, segment in items]
    must_be_unique(ids, where)
    labels = sentiments([label for _, _, label, _ in items], ids, where)
    made = Utterances(where, ids, [video_of(one) for one in ids], [split for split, *_ in items], labels)
    made.words = [[str(word) for word in words] for _, (words, _, _), _, _ in items]
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


def _mmsa(found: Mapping[str, Mapping[str, Any]], where: str) -> Utterances:
    """Padded arrays (N, T, D); the padding is taken off."""
    ids = [str(one) for part in found.values() for one in part["id"]]
    must_be_unique(ids, where)
    labels = sentiments([label for part in found.values() for label in part["regression_labels"]], ids, where)
    split = [name for name, part in found.items() for _ in part["id"]]
    made = Utterances(where, ids, [video_of(one) for one in ids], split, labels)
    if all("raw_text" in part for part in found.values()):
        made.texts = [str(text) for part in found.values() for text in part["raw_text"]]
        _must_be_as_many(made.texts, ids, f"{where}, raw_text")
    for name, key in MMSA_NAMES.items():
        if all(key in part for part in found.values()):
            parts = [_real_elements(made, name, part, f"{where}, {split}/{key}") for split, part in found.items()]
            made.sequences[name] = [one for part in parts for one in part]
            made.lengths[name] = max(part[key].shape[1] for part in found.values())
            _must_be_as_many(made.sequences[name], ids, f"{where}, {key}")
    return made


def _real_elements(made: Utterances, name: str, part: Mapping[str, Any], where: str) -> list[NDArray[np.float32]]:
    """The sequences of one split without padding: by their stated lengths, or from first to last that is not zero."""
    import numpy as np

    key = MMSA_NAMES[name]
    values = np.asarray(part[key])
    if values.ndim != 3 or values.dtype.kind not in "biuf":
        raise DataError("not an array of sequences", where=where, got=f"shape {values.shape}, {values.dtype}")
    values = made.finite(name, values)
    lengths = part.get(f"{key}_lengths")
    if lengths is None and name == "text" and "text_bert" in part:
        lengths = np.asarray(part["text_bert"])[:, 1].sum(axis=1)
    if lengths is not None:
        return [row[: int(length)] for row, length in zip(values, lengths, strict=True)]
    trimmed = []
    for row in values:
        real = np.flatnonzero(row.any(axis=1))
        trimmed.append(row[real[0] : real[-1] + 1] if len(real) else row[:0])
    return trimmed


def _must_be_as_many(values: Sequence[Any], ids: Sequence[str], where: str) -> None:
    if len(values) != len(ids):
        raise DataError("arrays of different lengths", where=where, got=f"{len(values)}", expected=f"{len(ids)} ids")
