"""CMU-MOSI (Zadeh et al. 2016), and CMU-MOSEI in the same layouts, as a dataset of tokens, sequences and vectors."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, ModalityPlan
from omib_cli.artifacts.files import must_exist
from omib_cli.errors import DataError, RecipeError, listed
from omib_cli.sources.folds import fold_split, outside_test, said_of_folds
from omib_cli.sources.labels import must_be_learnable
from omib_cli.sources.mosi.features import FeatureRows, KeepingAll, means, repeated, scaled_like
from omib_cli.sources.mosi.folder import FEATURES, LABELS, read_folder
from omib_cli.sources.mosi.pickles import read_utterances
from omib_cli.sources.mosi.tokens import TokenizerFolder
from omib_cli.sources.mosi.utterances import MODALITIES, Utterances
from omib_cli.sources.sheets import counted
from omib_cli.sources.splits import (
    TEST,
    TRAIN,
    VALIDATION,
    carve_validation,
    given_split,
    must_keep_groups,
    remarks,
    strata,
)
from omib_cli.sources.table_files import input_folder
from omib_cli.sources.text_tables import reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.artifacts.prepared import Prepared
    from omib_cli.recipe.schema import Recipe
    from omib_cli.recipe.sources.mosi import CmuMosiOptions

SPLIT_NAMES = {"dev": "validation", "valid": "validation", "val": "validation"}


class CmuMosiSource:
    """Utterances of CMU-MOSI; groups are videos. Features live in memory, rows are padded in blocks.

    Parameters
    ----------
    recipe
        Its ``data`` section says which layout and which features.
    input_path
        The folder of the published files, or a pickle file.
    like
        What a trained model's data were prepared with: the utterances are then new samples for it.
    """

    def __init__(self, recipe: Recipe, input_path: Path | None, like: Prepared | None = None) -> None:
        self.recipe = recipe
        self._like = like
        self.options = cast("CmuMosiOptions", recipe.data)
        self.warnings: list[str] = []
        self._must_fit_the_task()
        file = input_path if input_path is not None and input_path.is_file() else None
        self.folder = input_folder(file.parent if file else input_path, recipe.name)
        self._pickle = file or self._find_pickle()
        self.kinds = {name: self._kind(name) for name in recipe.modalities}
        with_tokens = fmt.TOKENS in self.kinds.values() and like is None
        self._tokenizer = TokenizerFolder(str(self.options.tokenizer)) if with_tokens else None
        self._rows: dict[str, FeatureRows] = {}
        self._labels: NDArray[np.float64] | None = None

    def files(self) -> dict[str, str]:
        """SHA-256 of each source file, and of the files of the tokenizer."""
        read = [self._pickle or self.folder / LABELS]
        if self._pickle is None and self._with_features():
            read.append(self.folder / FEATURES)
        found = {}
        for path in read:
            must_exist(path, "file", "--input names the folder of the published files, or the pickle file")
            with reading(path.name), path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return {**found, **(self._tokenizer.hashes() if self._tokenizer else {})}

    def plan(self) -> DatasetPlan:
        """Read, divide, tokenise and standardise everything.

        Raises
        ------
        DataError, RecipeError
            The first thing that cannot be used, with its place.
        """
        import numpy as np

        new = self._like is not None
        if self._pickle is not None:
            data = read_utterances(self._pickle, self.options.layout, new=new)
        else:
            data = read_folder(self.folder, self.options.fold, self._with_features(), self.warnings, new=new)
        if self._like is not None:
            split = np.full(len(data.ids), fmt.ALL_SPLITS.index(fmt.NEW), dtype=np.uint8)
            rows, plans = self._prepare_like(data, self._like)
        else:
            data = self._chosen(data)
            split = self._split(data)
            self._must_be_honest(data, split)
            rows, plans = self._prepare(data, split == TRAIN)
        order = np.argsort(split, kind="stable")
        self._rows = {name: one.taken(order) for name, one in rows.items()}
        self._labels = data.labels[order]
        return DatasetPlan(
            ids=[data.ids[row] for row in order],
            split=split[order],
            task=self.recipe.task.kind,
            classes=[],
            modalities=plans,
            groups=[data.videos[row] for row in order],
            facts=self._facts(data),
        )

    def block(self, start: int, stop: int) -> Block:
        """FeatureRows ``start`` to ``stop`` of what :meth:`plan` made."""
        assert self._labels is not None, "plan() comes first"
        return Block(
            values={name: rows.block(start, stop) for name, rows in self._rows.items()},
            present={name: rows.present[start:stop] for name, rows in self._rows.items()},
            labels=self._labels[start:stop],
        )

    def _must_fit_the_task(self) -> None:
        problems = [
            f"modalities.{name}: the source cmu-mosi has {', '.join(MODALITIES)}"
            for name in self.recipe.modalities
            if name not in MODALITIES
        ]
        if self.recipe.task.kind != "regression":
            problems.append(f"task.kind: sentiment is a number, so `regression`, not {self.recipe.task.kind!r}")
        if problems:
            raise RecipeError(self.recipe.name, problems)

    def _find_pickle(self) -> Path | None:
        """The pickle file to read, or None for the layout without one."""
        if self.options.file is not None:
            return must_exist(self.folder / self.options.file, "file", "data.file is relative to --input")
        if self.options.layout == "folder" or (self.options.layout == "auto" and (self.folder / LABELS).is_file()):
            return None
        found = sorted(self.folder.glob("*.pkl"))
        if len(found) != 1:
            raise DataError(
                "which pickle file is the data?" if found else "no layout of CMU-MOSI",
                where=self.folder,
                got=listed(path.name for path in found or sorted(self.folder.iterdir())) or "an empty folder",
                expected=f"{LABELS} with {FEATURES}, or mosi.pkl (MAG-BERT, MIB), or aligned_50.pkl (MMSA)",
                do="name it: data.file: mosi.pkl" if found else "name the folder of the published files with --input",
            )
        return found[0]

    def _kind(self, name: str) -> str:
        """What stands for a modality."""
        wanted: str | None = self.options.features.get(name)  # type: ignore[call-overload]
        if wanted is None and name == "text" and self.options.tokenizer is not None:
            return fmt.TOKENS
        if self._pickle is None and wanted == fmt.SEQUENCE:
            raise RecipeError(
                self.recipe.name,
                [f"data.features.{name}: {LABELS} and {FEATURES} hold no sequences, only a vector per utterance"],
            )
        return wanted or (fmt.VECTOR if self._pickle is None else fmt.SEQUENCE)

    def _with_features(self) -> list[str]:
        """The modalities that are not made of the text."""
        return [name for name, kind in self.kinds.items() if kind != fmt.TOKENS]

    def _chosen(self, data: Utterances) -> Utterances:
        """The utterances that take part: all, but for those of the published test split that folds are to leave out."""
        fold = self.options.split.fold
        if fold is None:
            return data
        if fold.within == "all":
            self.warnings.extend(said_of_folds(True, fold, len(data.ids)))
            return data
        published = given_split(data.split, SPLIT_NAMES, data.where)
        return data.taken(outside_test(published, self.warnings).tolist())

    def _divided(self, data: Utterances) -> NDArray[np.uint8]:
        """Codes (N,) of the published split, or of one fold."""
        fold = self.options.split.fold
        if fold is not None:
            return fold_split(data.labels, data.videos, [], fold, self.recipe.seed, data.where)
        split = given_split(data.split, SPLIT_NAMES, data.where)
        must_keep_groups(split, data.videos, data.where, "fetch the published file: its splits are by video")
        return split

    def _split(self, data: Utterances) -> NDArray[np.uint8]:
        """Codes (N,) of the split of each utterance, whole videos on one side."""
        import numpy as np

        split = self._divided(data)
        carved = bool(self.options.validation) and not np.any(split == VALIDATION)
        if carved:
            kinds = strata(data.labels, classes=False)
            split = carve_validation(split, data.videos, kinds, self.options.validation, self.recipe.seed)
        must_be_learnable(data.labels, split, [], data.where)
        asked = self.options.validation if carved else None
        self.warnings.extend(remarks(split, data.labels, [], test=None, validation=asked))
        return split

    def _must_be_honest(self, data: Utterances, split: NDArray[np.uint8]) -> None:
        """Refuse features that were trained with the labels of test utterances."""
        for name, learnt in data.learnt_from.items():
            seen = int((learnt & (split == TEST)).sum())
            if seen:
                raise DataError(
                    f"the features of {name} were trained with labels of the test split",
                    where=FEATURES,
                    got=f"{seen} of {int((split == TEST).sum())} test utterances are in their training part",
                    expected="features that know nothing of the test split",
                    do=("set `data.fold: bclstm_split`, or " if self.options.split.fold is None else "")
                    + "use tokens of the text (`data.tokenizer`) and the audio",
                )

    def _prepare(
        self, data: Utterances, training: NDArray[np.bool_]
    ) -> tuple[dict[str, FeatureRows], dict[str, ModalityPlan]]:
        """FeatureRows of each modality as the dataset will hold them, and what is to be known of them."""
        rows: dict[str, FeatureRows] = {}
        plans: dict[str, ModalityPlan] = {}
        belongs = None
        if self._tokenizer is not None:
            rows["text"], belongs = self._tokens(data, self._tokenizer)
        for name in self.recipe.modalities:
            if self.kinds[name] == fmt.TOKENS:
                assert self._tokenizer is not None
                contents, config = self._tokenizer.contents(), self._tokenizer.config()
                plans[name] = ModalityPlan(rows[name].shape, fmt.TOKENS, preprocessing=contents, config=config)
                continue
            raw = self._features(data, name)
            scaled, fitted = raw.standardised(training, KeepingAll(self.options.standardise), f"{data.where}, {name}")
            if belongs is not None and scaled.kind == fmt.SEQUENCE:
                pieces = [repeated(words, of) for words, of in zip(scaled.values, belongs, strict=True)]
                scaled = replace(scaled, values=pieces)
            rows[name] = scaled
            plans[name] = ModalityPlan(scaled.shape, scaled.kind, preprocessing=fitted.arrays())
        return {name: rows[name] for name in plans}, plans

    def _prepare_like(self, data: Utterances, like: Prepared) -> tuple[dict[str, FeatureRows], dict[str, ModalityPlan]]:
        """As :meth:`_prepare`, with what the model carries; a modality that the file lacks is missing in all."""
        import numpy as np

        rows: dict[str, FeatureRows] = {}
        belongs = None
        for name, one in like.modalities.items():
            if one.kind == fmt.TOKENS:
                with TokenizerFolder.carried(one.fitted) as tokenizer:
                    rows[name], belongs = self._tokens(data, tokenizer)
        for name, one in like.modalities.items():
            if one.kind == fmt.TOKENS:
                continue
            if name not in data.vectors and name not in data.sequences:
                width = len(one.fitted["offset"])
                nothing = [np.zeros((0, width) if one.kind == fmt.SEQUENCE else width, np.float32)] * len(data.ids)
                rows[name] = FeatureRows(one.kind, nothing, np.zeros(len(data.ids), dtype=bool), one.shape[0])
                continue
            scaled = scaled_like(self._features(data, name), one, f"{data.where}, {name}")
            if belongs is not None and scaled.kind == fmt.SEQUENCE:
                pieces = [repeated(words, of) for words, of in zip(scaled.values, belongs, strict=True)]
                scaled = replace(scaled, values=pieces)
            rows[name] = scaled
        plans = {
            name: ModalityPlan(one.shape, one.kind, one.features, one.fitted, one.config)
            for name, one in like.modalities.items()
        }
        return {name: rows[name] for name in plans}, plans

    def _tokens(
        self, data: Utterances, tokenizer: TokenizerFolder
    ) -> tuple[FeatureRows, list[NDArray[np.int64]] | None]:
        """Tokens of each text and, where the layout aligns features with words, the word of each token."""
        import numpy as np

        length, belongs = self.options.max_length, None
        tokenizer.must_take(length)
        if data.words is not None:
            ids, belongs = tokenizer.pieces(data.words, length)
        elif data.texts is not None:
            ids = tokenizer.texts(data.texts, length)
        else:
            raise DataError("there is no text to tokenise", where=data.where, do="leave `data.tokenizer` out")
        present = np.array([bool(text) for text in data.texts or []])
        return FeatureRows(fmt.TOKENS, [np.array(own, dtype=np.int32) for own in ids], present, length), belongs

    def _features(self, data: Utterances, name: str) -> FeatureRows:
        """Sequences or vectors of each utterance, as published."""
        import numpy as np

        kind = self.kinds[name]
        if name in data.vectors:
            values = data.vectors[name]
            present = np.asarray(~np.isnan(values).all(axis=1))
            return FeatureRows(kind, list(np.nan_to_num(values)), present)
        if name not in data.sequences:
            raise DataError(
                f"the file has no features of {name}",
                where=data.where,
                got=listed(data.sequences),
                do="use tokens of the text: name the folder of a text model, data.tokenizer"
                if name == "text"
                else None,
            )
        sequences = data.sequences[name]
        present = np.array([len(one) > 0 for one in sequences])
        if kind == fmt.VECTOR:
            return FeatureRows(kind, means(sequences), present)
        return FeatureRows(kind, sequences, present, data.lengths.get(name, self.options.max_length))

    def _facts(self, data: Utterances) -> dict[str, Any]:
        """What was replaced or is missing, in the dataset and in words."""
        missing = {name: int((~rows.present).sum()) for name, rows in self._rows.items()}
        missing = {name: count for name, count in missing.items() if count}
        replaced = {name: count for name, count in data.non_finite.items() if name in self._rows}
        self.warnings.extend(
            f"{counted(count, 'value')} of {name} infinite or no number: became 0" for name, count in replaced.items()
        )
        self.warnings.extend(
            f"{counted(count, 'utterance')} without {name}: kept and masked" for name, count in missing.items()
        )
        facts = {"missing": missing, "non_finite": replaced}
        return {key: value for key, value in facts.items() if value}
