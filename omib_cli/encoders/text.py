"""A BERT-style text encoder (Devlin et al. 2019; Appendix H: text of CMU-MOSI), fine-tuned or frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from omib_cli.encoders.base import Encoder
from omib_cli.encoders.pooling import masked_mean
from omib_cli.encoders.pretrained import (
    backbone_config,
    model_folder,
    network,
    not_a_text_model,
    quiet,
    read_config,
    read_tokenizer,
    vocabulary,
)
from omib_cli.errors import DataError
from omib_cli.nn.batch import Batch
from omib_cli.nn.foreign import DropoutOf
from omib_cli.nn.layers import Dropout
from omib_cli.recipe.encoders import TextOptions

KEY = "modalities.*.encoder.weights"


class TextEncoder(Encoder):
    """(B, L) token ids, -1 for padding, to (B, d).

    The network is the one that the dataset's tokens were made for: its configuration comes with the dataset, so that a
    checkpoint can be loaded without the folder of pretrained weights. BERT's pooler is left out. Parameters: those of
    the pretrained layers (bert-base-uncased 108.9 million, MiniLM-L6 22.6 million) and H x d x 3 + d of the convolution
    or H x d + d of the linear layer on top, H wide.

    Raises
    ------
    DataError
        The dataset carries no configuration of a text model, or one that the transformers library does not know.
    """

    kinds = ("tokens",)

    def __init__(
        self,
        options: TextOptions,
        shape: tuple[int, ...],
        config: Mapping[str, Any] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(options, shape, config, bias)
        from transformers import AutoModel

        if not config or "model" not in config:
            raise DataError(
                "the dataset does not say which text model its tokens are for",
                expected="tokens made by `omib prepare` with data.tokenizer",
                do="prepare the data again",
            )
        self.options = options
        self._model = dict(config["model"])
        self._vocabulary = config.get("vocabulary")
        made = backbone_config(self._model)
        self.backbone: nn.Module = AutoModel.from_config(made, dtype=torch.float32)  # type: ignore[no-untyped-call]
        self.backbone.pooler = None  # its output is not used
        self.backbone.requires_grad_(not options.freeze)
        width = made.hidden_size
        self.top: nn.Module
        if options.pooling == "conv":
            self.top = nn.Conv1d(width, options.width, 3, padding=1, bias=bias)
        else:
            self.top = nn.Linear(width, options.width, bias=bias)
        self.dropout = Dropout(options.dropout)

    def load_pretrained(self) -> str | None:
        """Load the pretrained layers from the folder that ``weights`` names.

        Raises
        ------
        DataError
            No such folder, no text model in it, or another one than the dataset's tokens were made for.
        """
        if self.options.weights is None:
            return None
        from safetensors import SafetensorError
        from transformers import AutoModel

        folder = model_folder(self.options.weights, KEY)
        self._must_be_of_the_tokens(read_config(folder, KEY), folder)
        wrong = not_a_text_model(folder, KEY)
        try:
            with quiet():
                found, report = AutoModel.from_pretrained(
                    folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
                )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            wrong.got = str(error).splitlines()[0]
            raise wrong from error
        found.pooler = None
        missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
        if missing or report["mismatched_keys"]:
            wrong.got = f"{len(missing)} weights missing, such as {missing[0]}" if missing else "weights of other sizes"
            raise wrong
        self.backbone.load_state_dict(found.state_dict())
        if self._vocabulary is None:
            return (
                "the dataset is of an earlier version and does not hold its vocabulary: whether it is that of "
                f"{self.options.weights} cannot be checked (`omib prepare` again stores it)"
            )
        return None

    def _must_be_of_the_tokens(self, found: Mapping[str, Any], folder: Any) -> None:
        """Refuse weights of another network, naming the first difference."""
        other = DataError(
            "the pretrained weights are of another text model than the one the data were tokenised for",
            where=f"{KEY}: {folder}",
            do="prepare the data with data.tokenizer set to the same folder",
        )
        for name in ("model_type", *network(self._model)):
            own, theirs = ({**one, **network(one)}.get(name) for one in (self._model, found))
            if own != theirs:
                other.got, other.expected = f"{name} {theirs}", f"{own}, as in the dataset"
                raise other
        if self._vocabulary is None:  # a dataset of an earlier version
            return
        try:
            found_words = vocabulary(read_tokenizer(folder))
        except (OSError, ValueError, KeyError, TypeError) as error:
            other.got, other.expected = "weights without a tokenizer", "the tokenizer that they were trained with"
            raise other from error
        if found_words != self._vocabulary:
            other.got, other.expected = "a vocabulary in which other numbers stand for other words", "the dataset's"
            raise other

    def own_rate(self) -> Iterator[nn.Parameter]:
        """The pretrained layers: ``lr`` is theirs alone, the layers on top take the phase's."""
        return self.backbone.parameters()

    def train(self, mode: bool = True) -> TextEncoder:
        """Training mode; frozen pretrained layers stay in evaluation mode, without dropout."""
        super().train(mode)
        if self.options.freeze:
            self.backbone.eval()
        return self

    def forward(self, x: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(B, L) to (B, d)."""
        mask = x >= 0
        longest = max(1, int(mask.sum(dim=1).max()))  # columns that are padding for the whole batch cost time only
        x, mask = x[:, :longest].long(), mask[:, :longest]
        attended = mask.clone()
        attended[:, 0] = True  # attention over nothing would be NaN
        masks: AbstractContextManager[object] = nullcontext() if batch.is_whole else DropoutOf(batch)
        with masks, torch.set_grad_enabled(torch.is_grad_enabled() and not self.options.freeze):
            hidden = self.backbone(input_ids=x.clamp(min=0), attention_mask=attended.long()).last_hidden_state
        return self._pool(self.dropout(hidden, batch), mask)

    def _pool(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, L, H) and (B, L) to (B, d)."""
        encoding: torch.Tensor
        if self.options.pooling == "conv":
            real = hidden * mask.unsqueeze(-1)
            return masked_mean(self.top(real.transpose(1, 2)).transpose(1, 2), mask)
        encoding = self.top(hidden[:, 0] if self.options.pooling == "cls" else masked_mean(hidden, mask))
        return encoding
