"""Texts as token ids, and sequences by word as sequences by word piece (MAG-BERT, Rahman et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from omib_cli.encoders.pretrained import model_folder, not_a_text_model, read_config, read_tokenizer, vocabulary
from omib_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY = "data.tokenizer"
FILE = "file:"
"""How the names of a tokenizer's files begin among what a model carries."""
FILES = ("config.json", "vocab*", "merges.txt", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "*.model")
"""What decides how a text becomes tokens, and for which model."""


class TokenizerFolder:
    """A folder of a text model, for its tokenizer.

    Parameters
    ----------
    name
        A path, or a place inside an installed package.

    Raises
    ------
    DataError
        No such folder, or not one of a text model with a tokenizer.
    """

    def __init__(self, name: str) -> None:
        self.folder: Path = model_folder(name, KEY)
        self.model: dict[str, Any] = read_config(self.folder, KEY)
        wrong = not_a_text_model(self.folder, KEY)
        try:
            self._tokenizer: Any = read_tokenizer(self.folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            wrong.got = f"no tokenizer: {str(error).splitlines()[0]}"
            raise wrong from error
        special = self._tokenizer("", return_special_tokens_mask=True)["input_ids"]
        if len(special) != 2 or len(self._tokenizer) > self.model["vocab_size"]:
            wrong.got = f"a tokenizer of {len(self._tokenizer)} tokens that adds {len(special)} special ones to a text"
            wrong.expected = f"at most {self.model['vocab_size']} tokens, one special one before and one after a text"
            raise wrong
        self._first, self._last = special

    @classmethod
    @contextmanager
    def carried(cls, files: Mapping[str, NDArray[np.uint8]]) -> Iterator[TokenizerFolder]:
        """The tokenizer that a model carries, from what :meth:`contents` gave; its files are there for as long."""
        with TemporaryDirectory(prefix="omib-tokenizer-") as folder:
            for name, content in files.items():
                (Path(folder) / name.removeprefix(FILE)).write_bytes(content.tobytes())
            yield cls(folder)

    def contents(self) -> dict[str, NDArray[np.uint8]]:
        """The bytes of each file that decides about tokens: another machine needs them to tokenise alike."""
        import numpy as np

        return {FILE + path.name: np.frombuffer(path.read_bytes(), dtype=np.uint8).copy() for path in self._files()}

    def _files(self) -> list[Path]:
        """What decides how a text becomes tokens, and for which model."""
        return sorted({path for pattern in FILES for path in self.folder.glob(pattern) if path.is_file()})

    def config(self) -> dict[str, Any]:
        """What an encoder must know of the tokens."""
        return {"model": self.model, "tokenizer": self.folder.name, "vocabulary": vocabulary(self._tokenizer)}

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file that decides about tokens."""
        import hashlib

        return {f"tokenizer/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in self._files()}

    def must_take(self, length: int) -> None:
        """Refuse more tokens than the model has positions for."""
        positions = self.model.get("max_position_embeddings")
        if positions is not None and length > positions:
            raise DataError(
                "more tokens than the text model has positions for",
                where="data.max_length",
                got=length,
                expected=f"at most {positions}, as in {self.folder.name}",
            )

    def texts(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Token ids of each text, special ones included, at most ``length``."""
        found = self._tokenizer(list(texts), truncation=True, max_length=length)["input_ids"]
        return [list(ids) for ids in found]

    def pieces(self, words: Sequence[Sequence[str]], length: int) -> tuple[list[list[int]], list[NDArray[np.int64]]]:
        """Token ids of each list of words, and which word each token is a piece of.

        Every word is tokenised alone, as MAG-BERT does. Cut to ``length`` - 2 pieces, then a special token is put at
        either end; these belong to word -1.
        """
        import numpy as np

        known: dict[str, list[int]] = {}
        ids, belongs = [], []
        for own in words:
            row, origin = [], []
            for place, word in enumerate(own):
                if word not in known:
                    known[word] = self._tokenizer.convert_tokens_to_ids(self._tokenizer.tokenize(word))
                row += known[word]
                origin += [place] * len(known[word])
            ids.append([self._first, *row[: length - 2], self._last])
            belongs.append(np.array([-1, *origin[: length - 2], -1], dtype=np.int64))
        return ids, belongs
