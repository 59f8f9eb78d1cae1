"""The base of every recipe section, the types of their numbers, and registries of interchangeable sections.

A registry pairs the *name* that a recipe uses with the *options* that this name takes and with the place
of its implementation, given as text so that reading a recipe never imports torch. Adding an encoder, a
fusion method, a task or a source is one file and one entry in its registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Activation = Literal["gelu", "relu", "leaky-relu"]


class Options(BaseModel):
    """A section of a recipe: immutable, no unknown keys, the sentence under each field is its help."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, validate_default=True
    )


class Registry:
    """Names that a recipe may use for one kind of component.

    Parameters
    ----------
    what
        The kind in words, for messages: ``"fusion method"``.
    discriminator
        The recipe key that holds the name: ``"method"``.
    """

    def __init__(self, what: str, discriminator: str) -> None:
        self.what = what
        self.discriminator = discriminator
        self._entries: dict[str, tuple[type[Options], str]] = {}

    def add(self, options: type[Options], implementation: str) -> None:
        """Register ``options`` (its discriminator's default is the name) for ``"package.module:Class"``."""
        self._entries[str(options.model_fields[self.discriminator].default)] = (options, implementation)

    def remove(self, name: str) -> None:
        """Forget a name (tests that register one of their own clean up with this)."""
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def union(self) -> Any:
        """The pydantic type that accepts any registered options, told apart by the discriminator."""
        types = [options for options, _ in self._entries.values()]
        if len(types) == 1:
            return types[0]
        return Annotated[reduce(or_, types), Field(discriminator=self.discriminator)]

    def implementation(self, name: str) -> Any:
        """Import and return the class or function registered under ``name``."""
        module, _, attribute = self._entries[name][1].partition(":")
        return getattr(import_module(module), attribute)
