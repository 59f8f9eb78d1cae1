"""What every artifact says about itself: how it came to be, from what, and the hash of what it holds."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from omib_cli import __version__
from omib_cli.artifacts.format import SCHEMA
from omib_cli.artifacts.hashing import content_hash
from omib_cli.errors import DataError, MismatchError

LIBRARIES = ("torch", "numpy", "h5py", "safetensors", "scikit-learn", "anndata", "mudata", "pydantic")


@dataclass
class Provenance:
    """The self-description of an artifact.

    Attributes
    ----------
    kind
        ``format.DATASET``, ``format.MODEL``, ...
    recipe
        The resolved recipe, as plain values.
    recipe_hash
        Hash of the recipe's sections that decide this artifact.
    parents
        Content hash of each artifact it was made from, by kind.
    facts
        Small values that are part of the content (class names, chosen beta, shapes); they enter the hash.
    notes
        What happened on the way (history of losses, warnings, seconds); it does not enter the hash.
    """

    kind: str
    recipe: dict[str, Any]
    recipe_hash: str
    parents: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    command: str = ""
    schema: int = SCHEMA
    omib: str = __version__
    python: str = field(default_factory=platform.python_version)
    libraries: dict[str, str] = field(default_factory=lambda: _versions())
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    hash: str = ""

    def seal(self, arrays: Mapping[str, tuple[str, tuple[int, ...], str]]) -> Provenance:
        """Set and return with :attr:`hash`, now that the content is known."""
        self.hash = self.expected_hash(arrays)
        return self

    def expected_hash(self, arrays: Mapping[str, tuple[str, tuple[int, ...], str]]) -> str:
        """The content hash that goes with these arrays."""
        return content_hash(self.kind, self.recipe_hash, self.parents, arrays, self.facts)

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, where: object) -> Provenance:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        DataError
            The text is damaged, or written by a newer version of omib.
        MismatchError
            It says more than this version knows.
        """
        try:
            values = json.loads(text)
            if int(values["schema"]) > SCHEMA:
                raise DataError(
                    "the file was written by a newer omib",
                    where=where,
                    got=f"schema {values['schema']} (omib {values.get('omib')})",
                    expected=f"schema {SCHEMA} or older (this is omib {__version__})",
                    do="upgrade omib",
                )
            unknown = sorted(set(values) - {each.name for each in fields(cls)})
            if unknown:
                raise MismatchError(
                    "the file's description of itself says what this omib does not understand",
                    where=where,
                    got=f"written by omib {values.get('omib')}: {', '.join(unknown)}",
                    expected=f"what omib {__version__}, which this is, writes",
                    do=f"use omib {values.get('omib')}, or make the file again with this one",
                )
            if not isinstance(values["recipe"], dict):
                raise TypeError("its recipe has no keys")
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("the file's description of itself is damaged", where=where, got=error) from error


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
