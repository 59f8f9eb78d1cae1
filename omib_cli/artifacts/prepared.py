"""What a trained model's data were prepared with: enough to prepare samples of another place in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.checkpoint import read_carried
from omib_cli.artifacts.dataset import Dataset
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import MismatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PreparedModality:
    """One modality of the data that a model was trained on.

    Attributes
    ----------
    kind, shape
        Of one sample, as in ``format``.
    features
        Their names (D,), or None where they have none.
    config
        What an encoder must know of it: the configuration of a text model.
    fitted
        What was fitted on the training split, by name; the arrays of the source's own.
    """

    kind: str
    shape: tuple[int, ...]
    features: list[str] | None
    config: Mapping[str, Any]
    fitted: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Prepared:
    """The data that a model was trained on, as far as new samples must be like them.

    Attributes
    ----------
    path, hash
        Of the model.
    classes
        Names of the classes; empty where labels are values.
    modalities
        By name, in the recipe's order.
    allow_missing
        The largest share of a modality's values that new samples may lack; the training samples' own stand in.
    """

    path: Path
    hash: str
    classes: list[str]
    modalities: dict[str, PreparedModality]
    allow_missing: float = 0.0


def arrays_of(dataset: Dataset) -> dict[str, NDArray[Any]]:
    """What a dataset was prepared with, by the names under which a model carries it."""
    return {
        fmt.PREPARED.format(name) + key: array
        for name in dataset.modalities
        for key, array in dataset.preprocessing(name).items()
    }


def read_prepared(path: Path, allow_missing: float = 0.0) -> tuple[Prepared, Provenance]:
    """What a model's data were prepared with, and the model's description of itself.

    Raises
    ------
    DataError
        Missing, damaged, or no model.
    MismatchError
        It was trained by a version whose models do not carry this.
    """
    carried, provenance = read_carried(path)
    facts = provenance.facts
    if "prepared" not in facts:
        raise MismatchError(
            "the model does not carry what its data were prepared with",
            where=path,
            got=f"a model of omib {provenance.omib} as it was before models could predict new samples",
            expected="a model that `omib train` of this version wrote",
            do="train it again; or prepare the new samples together with the old ones",
        )
    modalities = {}
    for name, shape in facts["shapes"].items():
        prefix = fmt.PREPARED.format(name)
        fitted = {key.removeprefix(prefix): array for key, array in carried.items() if key.startswith(prefix)}
        features, config = facts["features"].get(name), facts["configs"].get(name, {})
        modalities[name] = PreparedModality(facts["kinds"][name], tuple(shape), features, config, fitted)
    return Prepared(path, provenance.hash, list(facts["classes"]), modalities, allow_missing), provenance
