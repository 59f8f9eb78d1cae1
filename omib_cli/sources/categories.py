"""Columns of text as features: which of them, how their categories become numbers, and what a model keeps of that.

While tables are read and joined, a category is a number that means nothing but itself. What it becomes is fitted on
the training samples, once they are known: a column for each category that they have (``onehot``), or its place in the
order that the recipe gives.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError, listed
from omib_cli.sources.block_values import gathered
from omib_cli.sources.cells import is_date, is_missing
from omib_cli.sources.labels import as_class
from omib_cli.sources.patterns import places_like
from omib_cli.sources.rows import must_be_spelt_alike, must_be_whole
from omib_cli.sources.sheets import Sheet, counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ONEHOT = "onehot"
CARRIED = "categories"
"""The array of a dataset, and of a model, that holds the encodings: their JSON in UTF-8, uint8."""


@dataclass(frozen=True)
class Encoding:
    """What became of one column of text.

    Attributes
    ----------
    column
        Its name.
    ordered
        Whether a category is its place in ``categories``; else there is a column of zeros and ones for each of them.
    categories
        C names: of the training samples, sorted; or as the recipe orders them.
    """

    column: str
    ordered: bool
    categories: list[str]

    @property
    def features(self) -> list[str]:
        """Names of the features that the column becomes (K)."""
        return [self.column] if self.ordered else [f"{self.column}={category}" for category in self.categories]

    def numbers(self, codes: NDArray[np.float64], written: Sequence[str]) -> NDArray[np.float64]:
        """Features (N, K) of the numbers (N,) of ``written`` categories; NaN where the cell is missing.

        A category that is none of the encoding's is zero in every column, or missing in an order.
        """
        import numpy as np

        index = {category: place for place, category in enumerate(self.categories)}
        place = np.array([*(index.get(category, -1) for category in written), -1], dtype=np.int64)
        missing = np.isnan(codes)
        own = place[np.where(missing, len(written), codes).astype(np.int64)]
        if self.ordered:
            return np.where(own < 0, np.nan, own.astype(np.float64))[:, np.newaxis]
        features: NDArray[np.float64] = np.equal.outer(own, np.arange(len(self.categories))).astype(np.float64)
        features[missing] = np.nan
        return features

    def unknown(self, codes: NDArray[np.float64], written: Sequence[str]) -> Counter[str]:
        """How many samples have each category that is none of the encoding's."""
        counts = Counter(written[int(code)] for code in codes.tolist() if code == code)
        return Counter({category: count for category, count in counts.items() if category not in self.categories})


@dataclass(frozen=True)
class Written:
    """What the files say in one column of text: the categories, each at its number; and the recipe's order, or None."""

    names: list[str]
    order: Sequence[str] | None


class Texts:
    """The columns of text of one table that become features, in all its files.

    Parameters
    ----------
    every
        Whether all columns of text do, but those of dates.
    orders
        Columns by name or pattern, each with its categories in order, or None where they have none. Where a name and
        a pattern speak of one column, the name is heard.
    exact
        Whether all of these are names, and a column may be missing: those that a model was trained on.
    """

    def __init__(self, *, every: bool, orders: Mapping[str, Sequence[str] | None], exact: bool = False) -> None:
        self._every = every
        self._exact = exact
        self.orders = dict(orders)
        self._codes: dict[str, dict[str, int]] = {}
        self._own: dict[str, Sequence[str] | None] = {}
        self._plain: set[str] = set()

    @classmethod
    def asked(cls, encode: str | Mapping[str, Any] | None) -> Texts:
        """As the recipe says it."""
        if not isinstance(encode, Mapping):
            return cls(every=encode == ONEHOT, orders={})
        return cls(
            every=False, orders={key: None if kind == ONEHOT else list(map(str, kind)) for key, kind in encode.items()}
        )

    @classmethod
    def carried(cls, encodings: Sequence[Encoding]) -> Texts:
        """Those that a model was trained on."""
        orders = {one.column: one.categories if one.ordered else None for one in encodings}
        return cls(every=False, orders=orders, exact=True)

    def places(self, sheet: Sheet, barred: set[int]) -> set[int]:
        """Positions of these columns in a sheet.

        Parameters
        ----------
        barred
            Positions of what is no feature.

        Raises
        ------
        DataError
            A pattern that no column is like, a column that is no feature, or one of dates.
        """
        if self._every:
            text = set(range(len(sheet.names))) - barred - set(sheet.numeric())
            dates = {place for place in text if is_date(sheet.text(place))}
            again = {place for place, name in enumerate(sheet.names) if name in self._codes}
            return (text - dates) | (again - barred)
        if self._exact:
            self._own = self.orders
            return {place for place, name in enumerate(sheet.names) if name in self.orders} - barred
        found: set[int] = set()
        for pattern in sorted(self.orders, key=lambda said: said not in sheet.names):
            own = places_like([pattern], sheet.names, sheet.where, "encode", all_there=True)
            for place in own:
                self._must_be_categories(sheet, place, barred)
                self._own.setdefault(sheet.names[place], self.orders[pattern])
            found.update(own)
        return found - barred

    def numbers(self, sheet: Sheet, positions: Sequence[int], text: set[int]) -> NDArray[np.float64]:
        """Columns of a sheet as numbers (N, D): those of ``text`` as numbers of their categories, NaN where missing."""
        import numpy as np

        self._must_be_alike(sheet, positions, text)
        if text.isdisjoint(positions):
            return sheet.numbers(positions)
        values = np.empty((sheet.rows, len(positions)))
        plain = [place for place, position in enumerate(positions) if position not in text]
        values[:, plain] = sheet.numbers([positions[place] for place in plain])
        for place in set(range(len(positions))).difference(plain):
            values[:, place] = self._numbered(sheet, positions[place])
        return values

    def must_be_among(self, sheet: Sheet, positions: Sequence[int], text: set[int]) -> None:
        """Refuse columns that are to be encoded, one by one or by pattern, and that `columns` does not choose."""
        left = [sheet.names[place] for place in sorted(text.difference(positions))]
        if left and not self._every:
            raise DataError(
                "columns in `encode` that `columns` does not choose",
                where=sheet.where,
                got=listed(left),
                do="add them to `columns`, or leave them out of `encode`",
            )

    def written(self, columns: Sequence[str]) -> dict[int, Written]:
        """What has been read in columns of text, by position among all columns."""
        return {
            place: Written(list(self._codes[name]), self._own.get(name))
            for place, name in enumerate(columns)
            if name in self._codes
        }

    def _must_be_alike(self, sheet: Sheet, positions: Sequence[int], text: set[int]) -> None:
        """Refuse a column that was numbers in an earlier file of the table, and is text here."""
        if not self._every:
            return
        self._plain.update(sheet.names[place] for place in positions if place not in text)
        mixed = [sheet.names[place] for place in sorted(text) if sheet.names[place] in self._plain]
        if mixed:
            raise DataError(
                "columns of numbers in one file of the table, and of text in another",
                where=sheet.where,
                got=listed(mixed),
                do=f"name what is to be encoded: `encode: {{{mixed[0]}: onehot, ...}}`; or leave it out",
            )

    def _numbered(self, sheet: Sheet, position: int) -> list[float]:
        name, where = sheet.names[position], f"{sheet.where}, column {sheet.names[position]!r}"
        known = self._codes.setdefault(name, {})
        order = self._own.get(name) or ()
        cells = sheet.text(position)
        must_be_whole(cells, where, "categories", codes=False)
        number: dict[str, float] = {}
        for cell in dict.fromkeys(cells):
            category = as_class(cell, order)
            missing = is_missing(cell) and category not in order
            number[cell] = float("nan") if missing else known.setdefault(category, len(known))
        return [number[cell] for cell in cells]

    def _must_be_categories(self, sheet: Sheet, place: int, barred: set[int]) -> None:
        where = f"{sheet.where}, column {sheet.names[place]!r}"
        if place in barred and sheet.names[place] in self.orders:
            raise DataError(
                "a column to encode that is no feature",
                where=where,
                got="it is the ids, label, group or split, or named in `exclude`",
                do="leave it out of `encode`",
            )
        if place not in barred and is_date(sheet.text(place)):
            raise DataError(
                "dates are no categories", where=where, do="write days since a day of your own; or leave it out"
            )


def fit_encodings(
    columns: Sequence[str],
    texts: Mapping[int, Written],
    values: NDArray[np.float64],
    training: NDArray[np.bool_],
    where: str,
) -> list[Encoding]:
    """What the training samples, or the recipe's order, make of each column of text.

    Parameters
    ----------
    columns
        D names.
    texts
        The columns of text, by position.
    values
        (N, D), numbers of categories in columns of text.
    training
        (N,) rows to learn from.

    Raises
    ------
    DataError
        A category that the order does not have, categories that may be one, a category for each sample.
    """
    found = []
    for place, written in texts.items():
        own = f"{where}, column {columns[place]!r}"
        if written.order is not None:
            _must_be_in_order(written.names, written.order, own)
            found.append(Encoding(columns[place], True, list(written.order)))
            continue
        must_be_spelt_alike(written.names, own, "categories")
        seen = [written.names[int(code)] for code in values[training, place].tolist() if code == code]
        categories = sorted(set(seen))
        if len(categories) == len(seen) > 2:
            raise DataError(
                "a column of text with a category of its own for each training sample",
                where=own,
                got=listed(map(repr, categories)),
                expected="categories that samples have in common",
                do=f"leave it out: `exclude: {columns[place]}`",
            )
        found.append(Encoding(columns[place], False, categories))
    return found


def _must_be_in_order(names: Sequence[str], order: Sequence[str], where: str) -> None:
    strange = [name for name in names if name not in order]
    if strange:
        raise DataError(
            "categories that the order in `encode` does not have",
            where=where,
            got=listed(map(repr, strange)),
            expected=listed(map(repr, order)),
            do="add them where they belong, or correct the cells",
        )


def encoded(
    values: NDArray[np.float64],
    rows: NDArray[np.int64],
    columns: Sequence[str],
    texts: Mapping[int, Written],
    encodings: Sequence[Encoding],
    where: str,
    warnings: list[str],
) -> tuple[NDArray[np.float64], list[str]]:
    """Rows (N,) of values (T, D), the features of the columns of text behind the others: (N, K), and K names.

    A row of -1 is missing throughout. Categories that are not encoded are said, with how many samples have them.
    """
    import numpy as np

    plain = np.array([place for place in range(len(columns)) if place not in texts], dtype=np.int64)
    by_name = {one.column: one for one in encodings}
    names = [columns[place] for place in plain.tolist()]
    parts = []
    for place, written in texts.items():
        encoding, codes = by_name[columns[place]], np.where(rows < 0, np.nan, values[rows, place])
        parts.append(encoding.numbers(codes, written.names))
        names += encoding.features
        strange = encoding.unknown(codes, written.names)
        if strange:
            shown = listed(f"{category!r} ({counted(count, 'sample')})" for category, count in strange.items())
            warnings.append(
                f"{where}, column {encoding.column!r}: categories that training does not have, which count as "
                f"{'missing' if encoding.ordered else 'none of those it has'}: {shown}"
            )
    made = gathered(values, rows, np.concatenate([plain, np.full(len(names) - len(plain), -1)]))
    end = len(plain)
    for part in parts:
        made[:, end : end + part.shape[1]] = part
        end += part.shape[1]
    return made, names


def packed(encodings: Sequence[Encoding]) -> dict[str, NDArray[np.uint8]]:
    """As they go into a dataset and a model; nothing where there are none."""
    import numpy as np

    if not encodings:
        return {}
    text = json.dumps([asdict(one) for one in encodings], ensure_ascii=False)
    return {CARRIED: np.frombuffer(text.encode(), dtype=np.uint8).copy()}


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> list[Encoding]:
    """What :func:`packed` gave; none for models without columns of text."""
    if CARRIED not in arrays:
        return []
    return [Encoding(**one) for one in json.loads(arrays[CARRIED].tobytes().decode())]
