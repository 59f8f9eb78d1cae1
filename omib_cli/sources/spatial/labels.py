"""What pathologists say about spots: joined, and turned into the labels of a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed
from omib_cli.sources.rows import labels_that_are_there, must_be_files_of_their_own, must_be_spelt_alike, must_be_there
from omib_cli.sources.sheets import Sheet, counted, not_there
from omib_cli.sources.spatial.legacy import spot_names
from omib_cli.sources.spatial.section import TissueSection, existing, is_there
from omib_cli.sources.text_tables import read_text

if TYPE_CHECKING:
    from omib_cli.recipe.sources.spatial import SpotLabelOptions

CLASSES = ["normal", "anomalous"]


def read_labels(options: SpotLabelOptions, section: TissueSection, folder: Path) -> list[str]:
    """The label of each spot of a section (N), empty where there is none; rows without a spot are counted and left out.

    Raises
    ------
    DataError
        No such file, column or section; a spot with two labels; no row that fits a spot.
    """
    if options.file is None:
        if options.column not in section.obs:
            raise not_there("column of labels in obs", options.column, sorted(section.obs), section.where)
        return labels_that_are_there(section.obs[options.column], section.where)
    where = options.file.replace("{section}", section.name)
    path = existing(folder, where, "label table")
    section.files[where] = path
    written = [name for name in (options.column, options.spot, options.section) if name is not None]
    sheet = read_text(path, where, header=True, text_columns=[*written], warnings=section.warnings)
    labels = labels_that_are_there(sheet.text(options.column), where)
    names = _names(sheet, options)
    if options.spot is not None:
        must_be_there(names, [f"row {row + 1}" for row in range(sheet.rows)], "rows without a spot", where)
    elif bare := names.count(""):
        section.warnings.append(f"{counted(bare, 'row')} of {where} without x and y: left out")
    rows = range(sheet.rows)
    if options.section is not None:
        sections = sheet.text(options.section)
        if section.name not in sections:
            raise not_there("section", section.name, sorted(set(sections)), where)
        rows = [row for row in rows if sections[row] == section.name]  # type: ignore[assignment]
    said = _by_spot([(names[row], labels[row]) for row in rows], where)
    known = set(section.spots)
    if not known & set(said):
        raise DataError(
            "no row of the label table fits a spot",
            where=where,
            got=listed(map(repr, said)),
            expected=f"spots as in {section.where}: {listed(map(repr, section.spots))}",
            do="name the column of spot names, `labels.spot`, or leave it out to join on the rounded x and y",
        )
    if strangers := sum(name not in known for name in said):
        section.warnings.append(f"{counted(strangers, 'row')} of {where} without counts: left out")
    return [said.get(name, "") for name in section.spots]


def has_labels(options: SpotLabelOptions, section: TissueSection, folder: Path) -> bool:
    """Whether anybody has labelled a new section; says where its labels were looked for."""
    if options.file is None:
        found, where = options.column in section.obs, f"obs[{options.column!r}]"
    else:
        where = options.file.replace("{section}", section.name)
        found = is_there(folder, where)
        if found and options.section is not None:
            path = existing(folder, where, "label table")
            table = read_text(path, where, header=True, text_columns=[options.section], warnings=[])
            found = section.name in table.text(options.section)
    if not found:
        section.warnings.append(f"{section.name}: no labels ({where})")
    return found


def anomalies(labels: list[str], options: SpotLabelOptions) -> list[float]:
    """0 normal, 1 anomalous, NaN without a label."""
    bad = set(options.anomalous)
    return [float("nan") if not label else float(label in bad) for label in labels]


def must_be_known(anomalous: list[str], found: set[str]) -> None:
    """Refuse anomalous labels that no section has, or has in another spelling too: those spots would be normal."""
    if not anomalous:
        raise DataError(
            "which labels mean an anomaly?",
            where="data.labels.anomalous",
            got=f"none; the labels are {listed(sorted(found))}",
            do="name them, or set `labels: none` for a section without labels",
        )
    for label in anomalous:
        if label not in found:
            raise not_there("label", label, sorted(found), "data.labels.anomalous")
    must_be_spelt_alike(sorted(found), "data.labels", "labels")


def must_be_of_one_section(tables: Mapping[str, tuple[SpotLabelOptions, Path]]) -> None:
    """Refuse a table of labels that several sections read and that does not say which row is of which section.

    Barcodes and array coordinates are the same on every slide: each row would fit them all.

    Parameters
    ----------
    tables
        By section its options and its file.
    """
    one = {f"section {name}": path for name, (options, path) in tables.items() if options.section is None}
    must_be_files_of_their_own(one, "a table for each section (`{section}` in its name), or a column `labels.section`")


def _names(sheet: Sheet, options: SpotLabelOptions) -> list[str]:
    """The name of each row's spot; empty where its array coordinates are missing."""
    import numpy as np

    if options.spot is not None:
        return sheet.text(options.spot)
    positions = [sheet.position(column) for column in ("x", "y")]
    array = sheet.numbers([position for position in positions if position is not None])
    there = np.isfinite(array.sum(axis=1))
    return [name if found else "" for name, found in zip(spot_names(np.nan_to_num(array)), there.tolist(), strict=True)]


def _by_spot(pairs: list[tuple[str, str]], where: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for name, label in pairs:
        if name and said.setdefault(name, label) != label:
            raise DataError(
                "a spot with two labels", where=f"{where}, spot {name!r}", got=f"{said[name]!r} and {label!r}"
            )
    return said
