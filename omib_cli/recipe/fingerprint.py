"""What files hold, as far as a recipe for them depends on it: the facts that ``planning`` decides by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FileNames = str | Mapping[str, str]
"""One file, or one for each split by its name."""
LabelKind = Literal["names", "whole", "fractions"]


@dataclass(frozen=True)
class TableFile:
    """A file of a recipe, and how it is read; fields as in ``FileOptions``.

    Attributes
    ----------
    own_names
        Whether the format itself names its samples, or its header does, so that no column of ids is needed.
    transpose
        Whether its samples stand in columns.
    """

    files: FileNames
    key: str | None = None
    header: bool = True
    id: str | int | None = None
    own_names: bool = False
    transpose: bool = False

    @property
    def has_ids(self) -> bool:
        """Whether its rows have names."""
        return self.own_names or self.id is not None

    @property
    def shown(self) -> str:
        """The file as a reader knows it: ``rna.csv``, ``cells.h5mu:rna``, ``a_tr.csv + a_te.csv``."""
        names = [self.files] if isinstance(self.files, str) else list(self.files.values())
        return " + ".join(names) + (f":{self.key}" if self.key else "")


@dataclass(frozen=True)
class TableFacts:
    """One table of features.

    Attributes
    ----------
    patterns
        Shell patterns of columns, where not all are meant.
    samples, width
        Rows, and features among the columns.
    matched
        Labelled samples that it has a row for.
    missing, low, high
        Share of values that are missing, the least and the largest of the others.
    constant
        Columns of one value throughout.
    kind
        ``counts`` (many columns of whole numbers from 0), ``whole numbers`` (few), ``binary`` (0 and 1), ``shares``
        (within 0 and 1), ``components`` (many columns around 0 that have nothing to do with each other, as principal
        components have) or ``numbers``.
    texts
        Columns of text with few categories.
    suspicious
        Columns that are no features, each with the reason.
    notes
        What else is to be said.
    """

    name: str
    file: TableFile
    patterns: tuple[str, ...]
    samples: int
    width: int
    matched: int
    missing: float
    low: float
    high: float
    constant: int
    kind: str
    suspicious: Mapping[str, str] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelFacts:
    """The labels.

    Attributes
    ----------
    column
        By name, or by number where columns have none.
    count, unlabelled
        Rows with a label and rows without.
    kind
        Whether labels are names, whole numbers, or numbers with fractions.
    classes
        How often each label occurs, the most frequent first; of at most :data:`LISTED` labels.
    distinct
        How many different labels there are.
    mean, deviation
        Of labels that are numbers, in the label's unit.
    group, groups
        The column that says which samples belong together, and how many such groups there are.
    split, split_names
        The column of a given split, and the split that each of its values means.
    event, event_value, events
        Where labels are times: the column that says whether the event took place, the value that means it (None for
        booleans, and for 0 and 1), and how many events there are.
    """

    file: TableFile
    column: str | int
    count: int
    unlabelled: int
    kind: LabelKind
    classes: Mapping[str, int]
    distinct: int
    mean: float = 0.0
    deviation: float = 1.0
    group: str | None = None
    groups: int = 0
    split: str | None = None
    split_names: Mapping[str, str] = field(default_factory=dict)
    event: str | int | None = None
    event_value: str | None = None
    events: int = 0


LISTED = 50
"""Most labels that are counted one by one."""


@dataclass(frozen=True)
class ClipFacts:
    """A folder of clips.

    Attributes
    ----------
    source
        The data source that understands it: ``media`` or ``crema-d``.
    patterns
        Where the files of each modality are, ``{id}`` for the clip's id; empty where the names of a collection say it.
    names
        The collection that names its clips so, if labels come from names.
    found
        Clips of each modality.
    left_out
        Modalities that too few clips have, and how many.
    """

    source: str
    patterns: Mapping[str, str]
    names: str | None
    found: Mapping[str, int]
    clips: int
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Fingerprint:
    """All files together.

    Attributes
    ----------
    tables, clips
        One of them.
    labels
        Of tables and of clips; for clips that are labelled by their names, what the names say.
    join
        How rows belong together: ``id`` or ``row``.
    samples, complete
        Labelled samples with at least one modality, and with all.
    notes
        What is to be said of the files together.
    """

    labels: LabelFacts
    tables: tuple[TableFacts, ...] = ()
    clips: ClipFacts | None = None
    join: Literal["id", "row"] = "id"
    samples: int = 0
    complete: int = 0
    notes: tuple[str, ...] = ()
