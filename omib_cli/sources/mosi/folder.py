"""The layout of CMU-MOSI as a folder: ``label.csv``, and ``features.npz`` with a vector per utterance and modality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.artifacts.files import must_exist
from omib_cli.errors import DataError, listed
from omib_cli.sources.array_tables import read_npz
from omib_cli.sources.mosi.utterances import Utterances, sentiments, video_of
from omib_cli.sources.rows import must_be_ids, must_be_there
from omib_cli.sources.sheets import counted
from omib_cli.sources.text_tables import read_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABELS, FEATURES = "label.csv", "features.npz"
FOLDS = {"standard": "fold", "bclstm_split": "bclstm_split"}
ID = "utterance_id"
LEARNT = ("text", "visual")
"""Features of Poria et al. 2017 that were themselves trained with labels; the audio features were not."""


def read_folder(
    folder: Path, fold: str, wanted: Sequence[str], warnings: list[str], *, new: bool = False
) -> Utterances:
    """The utterances of ``label.csv`` with what ``features.npz`` has of them.

    Parameters
    ----------
    fold
        Which of the two published divisions.
    wanted
        The modalities whose features are read; without any, no ``features.npz`` is needed.
    new
        Whether these are new samples, which need neither a label nor a fold.

    Raises
    ------
    DataError
        A file, a column or an array is missing, an id is there twice, a label is no sentiment, the ids do not fit.
    """
    import numpy as np

    columns: list[str | int] = [ID, "video_id", "label", FOLDS[fold]]
    sheet = read_text(folder / LABELS, LABELS, header=True, text_columns=[*columns, "text"], warnings=warnings)
    there = {column: sheet.text(column) for column in columns if not new or column in sheet.names}
    nothing = [""] * sheet.rows
    ids, videos, labels, split = (there.get(column, nothing) for column in columns)
    videos = videos if "video_id" in there else [video_of(one) for one in ids]
    must_be_ids(ids, sheet.rows, LABELS, "utterance")
    must_be_there(videos, ids, "utterances without a video", LABELS)
    made = Utterances(LABELS, ids, videos, split, sentiments(labels, ids, LABELS, unknown=new))
    made.texts = sheet.text("text") if "text" in sheet.names else None
    for name in wanted:
        made.vectors[name] = _features(made, folder / FEATURES, name, warnings)
        if name in LEARNT and "bclstm_split" in sheet.names and not new:
            made.learnt_from[name] = np.array([one == "train" for one in sheet.text("bclstm_split")])
    return made


def _features(made: Utterances, path: Path, name: str, warnings: list[str]) -> NDArray[np.float32]:
    """One vector for each utterance, by id: (N, D), NaN where the archive does not have it."""
    import numpy as np

    must_exist(path, "file of features", "the published folder has one; tokens of the text alone need none")
    sheet = read_npz(path, FEATURES, name, values=True)
    known = sheet.text(ID)
    must_be_ids(known, sheet.rows, f"{FEATURES}:{name}", "utterance")
    place = {one: row for row, one in enumerate(known)}
    strangers = len(place.keys() - set(made.ids))
    warning = f"{counted(strangers, 'row')} of {FEATURES} without an utterance in {LABELS}: left out"
    warnings.extend([warning] if strangers and warning not in warnings else [])
    rows = np.array([place.get(one, -1) for one in made.ids])
    if np.all(rows < 0):
        raise DataError(
            "no utterance has features",
            where=f"{FEATURES}:{ID}",
            got=listed(map(repr, place)),
            expected=f"ids as in {LABELS}: {listed(map(repr, made.ids))}",
        )
    found = made.finite(name, sheet.numbers(range(len(sheet.names)))[rows])
    found[rows < 0] = np.nan
    return found
