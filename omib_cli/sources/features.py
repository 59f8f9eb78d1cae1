"""What the recipe, or a model, says about one table's features, applied to each of the table's files."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

from omib_cli.errors import DataError, listed
from omib_cli.sources.categories import Encoding, Texts
from omib_cli.sources.columns import Barred, candidates, must_be_some, must_not_be_barred
from omib_cli.sources.patterns import as_patterns, places_like
from omib_cli.sources.sheet_rows import id_column
from omib_cli.sources.sheets import Sheet, counted

if TYPE_CHECKING:
    from omib_cli.recipe.sources.tables import TableOptions


class Chosen(NamedTuple):
    """The features of a sheet: D positions and names, and which of the positions are columns of text."""

    positions: list[int]
    names: list[str]
    text: set[int]


class FeatureChoice:
    """Which columns of a table are features.

    Parameters
    ----------
    said
        Columns of ids, label, group and split in the labels' table, and of ids in others.
    known
        Names of the features that a model was trained on; None where nothing is trained yet.
    encodings
        What became of columns of text when that model was trained.
    warnings
        Told what is left out unasked.
    """

    def __init__(
        self,
        options: TableOptions,
        said: Sequence[str | int],
        known: Set[str] | None,
        encodings: Sequence[Encoding],
        warnings: list[str],
    ) -> None:
        self._options = options
        self._said = said
        self._known = known
        self._warnings = warnings
        self._columns, self._exclude = as_patterns(options.columns), as_patterns(options.exclude)
        self.texts = Texts.asked(options.encode) if known is None else Texts.carried(encodings)

    def of(self, sheet: Sheet, listed_names: Sequence[str] | None, *, has_labels: bool) -> Chosen:
        """The features of one file.

        Parameters
        ----------
        listed_names
            Names of the features, where a file of names gives them and not the sheet.
        has_labels
            Whether the sheet is the labels' own, so that a number of a column speaks of it.

        Raises
        ------
        DataError
            No feature, a pattern that no column is like, a feature that is the label, names that do not fit.
        """
        barred = self._barred(sheet, has_labels=has_labels)
        if self._known is None:
            must_not_be_barred(self._columns, sheet, barred)
        text = self.texts.places(sheet, barred.places(sheet))
        every = candidates(sheet, barred, text, self._warnings, all_kinds=bool(self._columns or self._known))
        names = [sheet.names[position] for position in every]
        if listed_names is not None:
            _must_fit(listed_names, len(every), sheet.where, str(self._options.feature_names))
            names = list(listed_names)
        picked = self._picked(names, sheet.where)
        positions = [every[place] for place in picked]
        if self._known is None:
            self.texts.must_be_among(sheet, positions, text)
        return Chosen(positions, [names[place] for place in picked], text)

    def _barred(self, sheet: Sheet, *, has_labels: bool) -> Barred:
        there = {*sheet.names, *sheet.text_names}
        own = [one for one in self._said if has_labels and (isinstance(one, int) or one in there)]
        excluded: list[int] = []
        if self._options.feature_names is None:  # else `exclude` speaks of those names
            excluded = self._places(self._exclude, sheet.names, sheet.where, "exclude")
        column = id_column(sheet, self._options)
        ids = [] if column is None else [column]
        foreign = [one for one in self._said if isinstance(one, str)]
        return Barred(ids, own, foreign, frozenset(excluded))

    def _places(self, patterns: Sequence[str], names: Sequence[str], where: str, key: str) -> list[int]:
        """Positions of the names like one of the patterns; new samples may lack what training left out."""
        return places_like(patterns, names, where, key, all_there=self._known is None)

    def _picked(self, names: Sequence[str], where: str) -> list[int]:
        """Which of the names are features: those that the recipe's patterns are like, or those that a model knows."""
        picked = list(range(len(names)))
        if self._columns:
            picked = self._places(self._columns, names, where, "columns")
        if self._options.feature_names is not None:
            out = set(self._places(self._exclude, names, where, "exclude"))
            picked = [place for place in picked if place not in out]
        if self._known is None:
            must_be_some([names[place] for place in picked], where)
        elif not self._known.isdisjoint(names):
            left = [names[place] for place in picked if names[place] not in self._known]
            if left:
                self._warnings.append(
                    f"{where}: {counted(len(left), 'column')} that the model does not use: left out ({listed(left)})"
                )
            picked = [place for place, name in enumerate(names) if name in self._known]
        return picked


def _must_fit(names: Sequence[str], columns: int, where: str, file: str) -> None:
    if len(names) != columns:
        raise DataError(
            "the list of feature names does not fit the table",
            where=file,
            got=f"{len(names)} names",
            expected=f"{columns}, the columns of {where}",
        )
