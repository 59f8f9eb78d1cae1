"""Features of new samples matched by name with those that a model was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omib_cli.errors import MismatchError, listed
from omib_cli.sources.sheets import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def places_of(wanted: Sequence[str], found: Sequence[str], where: str) -> NDArray[np.int64]:
    """Where each wanted feature stands among the found ones (K,), -1 where it does not.

    A name that several features have, in training and here alike, is matched in their order.

    Raises
    ------
    MismatchError
        Nothing in common, or a name that more or fewer columns have than in training.
    """
    import numpy as np

    places: dict[str, list[int]] = {}
    for place, name in enumerate(found):
        places.setdefault(name, []).append(place)
    counts = Counter(wanted)
    odd = [name for name, count in counts.items() if name in places and len(places[name]) != count]
    if odd:
        raise MismatchError(
            "features whose name several columns have",
            where=where,
            got=f"{odd[0]!r} {len(places[odd[0]])} times",
            expected=f"{counts[odd[0]]}, as in training",
            do="rename or remove the copies",
        )
    if places.keys().isdisjoint(counts):
        raise MismatchError(
            "not one of the features that the model was trained on is here",
            where=where,
            got=listed(map(repr, found)),
            expected=listed(map(repr, counts)),
            do="name the features as the training data do; or is this the file of another modality?",
        )
    queues = {name: iter(own) for name, own in places.items()}
    return np.array([next(queues[name]) if name in queues else -1 for name in wanted], dtype=np.int64)


def must_be_allowed(absent: Sequence[str], count: int, allowed: float, where: str) -> None:
    """Refuse features that are not there, unless so large a share of ``count`` may be missing."""
    if absent and len(absent) / count > allowed:
        raise MismatchError(
            f"{counted(len(absent), 'feature')} that the model needs {'is' if len(absent) == 1 else 'are'} not here",
            where=where,
            got=listed(absent) + (f"; --allow-missing is {allowed:g}" if allowed else ""),
            expected=f"the {count} features that the model was trained on, by name",
            do=f"--allow-missing {rounded_up(len(absent), count)} fills them with the training samples' values",
        )


def rounded_up(part: int, whole: int) -> str:
    """A share, rounded up to two digits behind the point."""
    return f"{-(-100 * part // whole) / 100:g}"


def as_bytes(names: Sequence[str]) -> NDArray[np.uint8]:
    """Names as UTF-8 with zeros between them: what a model can carry."""
    import numpy as np

    return np.frombuffer("\0".join(names).encode(), dtype=np.uint8)


def from_bytes(joined: NDArray[np.uint8]) -> list[str]:
    """What :func:`as_bytes` made of names."""
    return joined.tobytes().decode().split("\0")
