"""Options of the source of CMU-MOSI and of data sets published in the same layouts (CMU-MOSEI)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omib_cli.recipe.options import Share
from omib_cli.recipe.sources.common import FoldedOptions, SourceOptions

MosiModality = Literal["text", "audio", "visual"]


class CmuMosiOptions(SourceOptions):
    """Spoken utterances with a sentiment in [-3, 3]: text, audio and visual, any of them, as `modalities` names them.

    `--input` is the folder of the published files, or the pickle file itself.
    """

    source: Literal["cmu-mosi"] = "cmu-mosi"
    layout: Literal["auto", "folder", "mag-bert", "mmsa"] = "auto"
    """`folder`: label.csv and features.npz; `mag-bert`: mosi.pkl of MAG-BERT and MIB, aligned by word; `mmsa`:
    aligned_50.pkl or unaligned_50.pkl of MMSA; `auto` looks what is there."""
    file: str | None = None
    """The pickle file, where the folder holds several."""
    fold: Literal["standard", "bclstm_split"] = "standard"
    """Of layout `folder`: the standard 1284/229/686 utterances, or the 1447/752 that the features of Poria et al. were
    trained on; a pickle file is divided already."""
    validation: Share = 0.0
    """Share of the training utterances, by whole videos, for validation, where the fold gives none."""
    split: FoldedOptions = FoldedOptions()
    """Folds of a cross-validation, by video; they take the place of `fold`."""
    features: dict[MosiModality, Literal["tokens", "sequence", "vector"]] = {}
    """What stands for a modality: `tokens` of the text, a `sequence` of features, or one `vector` (of a sequence, the
    mean). Left out: tokens where there is a `tokenizer`, and otherwise what the layout has."""
    tokenizer: str | None = None
    """The folder of a text model (transformers library), or a place inside an installed Python package."""
    max_length: Annotated[int, Field(ge=3)] = 50
    """Most tokens, special ones included; what is longer is cut. Sequences aligned by word are cut alike."""
    standardise: Literal["zscore", "minmax", "none"] = "zscore"
    """Scaling of each feature, fitted on the real elements of the training split."""

    @model_validator(mode="after")
    def _tokens_are_of_text(self) -> CmuMosiOptions:
        wrong = [name for name, kind in self.features.items() if kind == "tokens" and name != "text"]
        if wrong:
            raise ValueError(f"only text has `tokens`, not {wrong[0]}")
        if self.features.get("text") == "tokens" and self.tokenizer is None:
            raise ValueError("`tokens` need a `tokenizer`, the folder of a text model")
        return self
