"""Folders of clips with sound and pictures: CREMA-D, and any other (Appendix H; the protocol of OGM-GE)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, ModalityPlan
from omib_cli.errors import DataError, RecipeError, listed
from omib_cli.recipe.sources.common import NONE
from omib_cli.sources.labels import class_labels, known_labels, must_be_learnable, value_labels
from omib_cli.sources.media.audio import filled, read_audio, spectrogram
from omib_cli.sources.media.dividing import chosen, cut_groups, divide
from omib_cli.sources.media.listing import Clip, Listing, by_name, by_pattern, by_table, read_lists
from omib_cli.sources.media.naming import CREMA_D, RAVDESS
from omib_cli.sources.media.remarks import alike, far_off
from omib_cli.sources.media.video import read_frames
from omib_cli.sources.new_tables import new_labels
from omib_cli.sources.rows import labels_that_are_there, must_be_groups
from omib_cli.sources.sheets import counted
from omib_cli.sources.splits import remarks
from omib_cli.sources.table_files import Files, Labels, input_folder
from omib_cli.sources.text_tables import reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.artifacts.prepared import Prepared
    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.common import LabelOptions
    from omib_cli.recipe.sources.media import ClipOptions, CremaDOptions, MediaOptions

STREAMS = ("audio", "video")


class ClipSource(ABC):
    """What all folders of clips have in common; a subclass says which clips there are.

    A clip that lacks a modality is kept and masked; one that lacks all is left out. Both are counted, and refused
    above ``tolerance``.

    Parameters
    ----------
    recipe
        Its modalities are ``audio``, ``video``, or both.
    input_path
        The folder.
    like
        What a trained model's data were prepared with: the clips are then new samples for it, labelled or not.

    Raises
    ------
    RecipeError, DataError
        Other modalities; no such folder.
    """

    def __init__(self, recipe: Recipe, input_path: Path | None, like: Prepared | None = None) -> None:
        self.recipe = recipe
        self._like = like
        self.options = cast("ClipOptions", recipe.data)
        self.names = list(recipe.modalities)
        self.warnings: list[str] = []
        self.folder = input_folder(input_path, recipe.name)
        odd = [name for name in self.names if name not in STREAMS]
        if odd:
            raise RecipeError(recipe.name, [f"modalities.{odd[0]}: clips have the modalities audio and video"])
        self._clips: list[Clip] = []
        self._labels: NDArray[np.float64] | None = None

    @abstractmethod
    def _list(self) -> Listing:
        """The clips, with files that may or may not be readable."""

    @abstractmethod
    def _beside(self) -> dict[str, str]:
        """SHA-256 of the files that say what the clips are, by name."""

    @cached_property
    def _listing(self) -> Listing:
        return self._list()

    def files(self) -> dict[str, str]:
        """SHA-256 of each source file by its path in the folder."""
        import hashlib

        clips = self._listing.clips  # first of all: it says what is missing
        found = self._beside()
        for path in {path for clip in clips for path in clip.files.values()}:
            with reading(self._relative(path)), path.open("rb") as file:
                found[self._relative(path)] = hashlib.file_digest(file, "sha256").hexdigest()
        for name in self.names:
            hashes = {clip.id: found[self._relative(clip.files[name])] for clip in clips if name in clip.files}
            self.warnings.extend(alike(name, hashes))
        return dict(sorted(found.items()))

    def plan(self) -> DatasetPlan:
        """Try every file, divide the clips; decoding in full is left to :meth:`block`.

        Raises
        ------
        DataError, RecipeError
            The first thing that cannot be used, with its place.
        """
        import numpy as np

        listing = self._listing
        every = [replace(clip, files=dict(clip.files)) for clip in listing.clips]
        lengths: dict[str, dict[str, float]] = {name: {} for name in self.names}
        unreadable = self._try_files(every, lengths)
        clips = [clip for clip in every if clip.files]
        missing = {name: sum(name not in clip.files for clip in clips) for name in self.names}
        if self._like is None:
            self._must_be_complete(every, unreadable, listing.where)
        elif not clips:
            raise DataError("no clip can be read", where=listing.where, got=listed(unreadable) or "no file")
        if self._like is None:
            clips = chosen(clips, self.options.split, self.recipe, listing.where, self.warnings)
        labels, classes = self._targets(clips, listing)
        grouped = any(clip.group is not None for clip in clips) and (
            self._like is None or all(clip.group for clip in clips)
        )
        if grouped:
            must_be_groups([clip.group or "" for clip in clips], [clip.id for clip in clips], listing.where)
        if self._like is None:
            split = divide(clips, labels, classes, self.options.split, self.recipe, listing.where)
            self.warnings.extend(self._remarks(clips, split, labels, classes))
            must_be_learnable(labels, split, classes, listing.where)
        else:
            split = np.full(len(clips), fmt.ALL_SPLITS.index(fmt.NEW), dtype=np.uint8)
        order = np.argsort(split, kind="stable").tolist()
        self._clips, self._labels = [clips[row] for row in order], labels[order]
        dropped = {"clips without a readable file": len(every) - len(clips), **listing.dropped}
        facts: dict[str, Any] = {
            "dropped_rows": {why: count for why, count in dropped.items() if count},
            "missing": {name: count for name, count in missing.items() if count},
            "unreadable": unreadable,
        }
        self._report(facts, lengths)
        return DatasetPlan(
            ids=[clip.id for clip in self._clips],
            split=split[order],
            task=self.recipe.task.kind,
            classes=classes,
            modalities={name: self._modality(name) for name in self.names},
            groups=[str(clip.group) for clip in self._clips] if grouped else None,
            facts={key: value for key, value in facts.items() if value},
        )

    def block(self, start: int, stop: int) -> Block:
        """Decode rows ``start`` to ``stop`` of what :meth:`plan` made."""
        import numpy as np

        assert self._labels is not None, "plan() comes first"
        clips = self._clips[start:stop]
        values, present = {}, {}
        for name in self.names:
            modality = self._modality(name)
            values[name] = np.zeros((len(clips), *modality.shape), dtype=fmt.DTYPES[modality.kind])
            present[name] = np.array([name in clip.files for clip in clips], dtype=bool)
            for row in np.flatnonzero(present[name]).tolist():
                values[name][row] = self._decode(name, clips[row].files[name])
        return Block(values, present, self._labels[start:stop])

    def _modality(self, name: str) -> ModalityPlan:
        if name == "video":
            video = self.options.video
            return ModalityPlan((video.frames, 3, video.size, video.size), fmt.VIDEO)
        audio = self.options.audio
        return ModalityPlan((audio.n_fft // 2 + 1, audio.samples // audio.hop + 1), fmt.SPECTROGRAM)

    def _decode(self, name: str, path: Path) -> NDArray[Any]:
        if name == "video":
            return read_frames(path, self.options.video).frames
        return spectrogram(filled(read_audio(path, self.options.audio).samples, self.options.audio), self.options.audio)

    def _try_files(self, clips: Sequence[Clip], lengths: dict[str, dict[str, float]]) -> dict[str, str]:
        """Take files away that cannot be read; returns why, by path.

        Everything that :meth:`block` will need is decoded, small: a film may be damaged or cut off anywhere.

        Parameters
        ----------
        lengths
            Receives the seconds that each file lasts, by modality and clip.
        """
        small = self.options.video.model_copy(update={"size": 16})
        reasons: dict[str, str] = {}
        damaged: list[str] = []
        for clip in clips:
            for name, path in list(clip.files.items()):
                try:
                    if name == "video":
                        film = read_frames(path, small)
                        lengths[name][clip.id] = film.seconds
                        damaged += [clip.id] if film.damaged else []
                    else:
                        lengths[name][clip.id] = read_audio(path, self.options.audio).seconds
                except DataError as error:
                    reasons[f"{self._relative(path)} ({name})"] = f"{error.what}: {error.got}"
                    del clip.files[name]
        if damaged:
            self.warnings.append(f"{counted(len(damaged), 'film')} with damaged parts, passed over: {listed(damaged)}")
        return reasons

    def _remarks(
        self, clips: Sequence[Clip], split: NDArray[np.uint8], labels: NDArray[np.float64], classes: Sequence[str]
    ) -> list[str]:
        """What is to be said of the split."""
        options = self.options.split
        if options.fold is not None:
            share = options.validation_share
            return cut_groups(clips, split) + remarks(split, labels, classes, test=None, validation=share)
        made = options.by != "given"
        unused = made and any(clip.split is not None for clip in clips)
        found = [f"the split that the data gives is not used (`data.split.by: {options.by}`)"] if unused else []
        test, validation = (options.test, options.validation_share) if made else (None, None)
        return found + cut_groups(clips, split) + remarks(split, labels, classes, test=test, validation=validation)

    def _must_be_complete(self, clips: Sequence[Clip], unreadable: dict[str, str], where: str) -> None:
        lacking = [clip.id for clip in clips if len(clip.files) < len(self.names)]
        if len(lacking) > self.options.tolerance * len(clips) or not any(clip.files for clip in clips):
            reasons = [f"{path}: {why}" for path, why in unreadable.items()]
            raise DataError(
                f"{len(lacking)} of {counted(len(clips), 'clip')} lack a modality",
                where=where,
                got=listed(lacking)
                + (f"; unreadable: {listed(reasons)}" if reasons else "; their files are not there"),
                expected=f"a share of {self.options.tolerance:g} at most (`data.tolerance`)",
                do="look whether the folder is complete; or raise `data.tolerance`: such clips are kept and masked",
            )

    def _targets(self, clips: Sequence[Clip], listing: Listing) -> tuple[NDArray[np.float64], list[str]]:
        values = [clip.label for clip in clips]
        if self._like is not None:
            ids, known = [clip.id for clip in clips], self._like.classes
            return known_labels(values, ids, known, listing.where, self.warnings), known
        if self.recipe.task.kind == "regression" and listing.classes is None:
            return value_labels(values, [clip.id for clip in clips], listing.where), []
        if self.recipe.task.kind != "classification":
            raise RecipeError(self.recipe.name, ["task.kind: the labels of these clips are classes"])
        if listing.classes is None:
            return class_labels(values, listing.where)
        import numpy as np

        classes = [name for name in listing.classes if name in values]
        return np.array([classes.index(value) for value in values], dtype=np.float64), classes

    def _report(self, facts: dict[str, Any], lengths: Mapping[str, Mapping[str, float]]) -> None:
        """Put what was left out or masked into words."""
        reasons = [f"{path}: {why}" for path, why in facts["unreadable"].items()]
        self.warnings.extend([f"{counted(len(reasons), 'unreadable file')}: {listed(reasons)}"] if reasons else [])
        self.warnings.extend(f"{count} {why}: left out" for why, count in facts["dropped_rows"].items())
        self.warnings.extend(
            f"{counted(count, 'clip')} without {name}: kept and masked" for name, count in facts["missing"].items()
        )
        audio, video = self.options.audio, self.options.video
        wanted = {"audio": audio.seconds, "video": video.frames / video.fps}
        for name, found in lengths.items():
            self.warnings.extend(far_off(name, found, wanted[name]))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


class CremaDSource(ClipSource):
    """CREMA-D in its public layout; emotion and actor from the clips' names."""

    def _list(self) -> Listing:
        if self._like is not None:
            return by_name(self.folder, CREMA_D, self.names, others=True)
        given = self.options.split.by == "given"
        split = read_lists(self.folder, self._lists(), CREMA_D) if given else None
        return by_name(self.folder, CREMA_D, self.names, split)

    def _beside(self) -> dict[str, str]:
        import hashlib

        lists = self._lists().values() if self.options.split.by == "given" and self._like is None else ()
        return {name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest() for name in lists}

    def _lists(self) -> dict[str, str]:
        options = cast("CremaDOptions", self.options)
        return {name: options.lists[name] for name in fmt.SPLITS if name in options.lists}


class MediaSource(ClipSource):
    """Any folder of clips, with a table of labels or with names that say them."""

    def __init__(self, recipe: Recipe, input_path: Path | None, like: Prepared | None = None) -> None:
        super().__init__(recipe, input_path, like)
        self._media = cast("MediaOptions", recipe.data)
        self._tables = Files(self.folder)
        self.warnings = self._tables.warnings
        lacking = [name for name in self.names if self._media.labels is not None and name not in self._media.files]
        if lacking:
            raise RecipeError(recipe.name, [f"data.files: says nothing of the modality {name}" for name in lacking])

    def _list(self) -> Listing:
        if self._media.labels is None:
            return by_name(self.folder, RAVDESS, self.names, others=self._like is not None)
        patterns = {str(name): pattern for name, pattern in self._media.files.items() if name in self.names}
        patterns = {name: pattern for name, pattern in patterns.items() if pattern != NONE}
        labels = self._labels_there()
        if labels is not None:
            labels.values = labels_that_are_there(labels.values, labels.where)
        if self._like is not None:
            return by_pattern(self.folder, labels, patterns)
        assert labels is not None, "checked by the recipe"
        return by_table(self.folder, labels, patterns)

    def _labels_there(self) -> Labels | None:
        """The table of labels; of new samples, if there is one."""
        options = cast("LabelOptions", self._media.labels)
        if self._like is None:
            return self._tables.labels(options)
        chosen = new_labels(options, self._tables)
        return None if chosen is None else self._tables.labels_if_any(chosen)

    def _beside(self) -> dict[str, str]:
        if self._media.labels is None:
            return {}
        chosen = self._media.labels if self._like is None else new_labels(self._media.labels, self._tables)
        return {} if chosen is None else self._tables.hashes([chosen])
