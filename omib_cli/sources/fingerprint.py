"""The fingerprint of tables: what the readers of the source ``tables`` find in files that no recipe describes yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError, UsageError, listed
from omib_cli.recipe.fingerprint import Fingerprint, LabelFacts, TableFile
from omib_cli.recipe.sources.common import FileOptions, LabelOptions
from omib_cli.recipe.sources.tables import TableOptions
from omib_cli.sources.array_tables import modalities_of
from omib_cli.sources.cells import NUMBER
from omib_cli.sources.identifying import LABELS, Candidates, Column, candidates, identify, samples_in_columns
from omib_cli.sources.joining import join
from omib_cli.sources.label_facts import SPLIT_NAMES, LabelLook
from omib_cli.sources.rows import labels_that_are_there
from omib_cli.sources.sheets import Sheet
from omib_cli.sources.table_facts import TableLook
from omib_cli.sources.table_files import BINARY, Files

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class TablesAsked:
    """What a user says of some files.

    Attributes
    ----------
    tables
        By modality a file, ``FILE:INSIDE`` (an array, or a pattern of columns); or a file for each split, with commas.
    label
        ``FILE:COLUMN``, or ``FILE``.
    group, split
        Columns of the labels; ``none`` for none; None where they are to be looked for.
    event
        ``COLUMN`` or ``COLUMN=VALUE`` of the labels, where these are times until an event.
    """

    tables: Mapping[str, str]
    label: str
    group: str | None = None
    split: str | None = None
    event: str | None = None


def of_tables(asked: TablesAsked, folder: Path) -> Fingerprint:
    """Look at tables and labels.

    Parameters
    ----------
    folder
        What file names are relative to.

    Raises
    ------
    UsageError
        What is asked for does not say enough; names what there is to choose from.
    DataError
        Files that the source ``tables`` cannot read, or that do not fit together.
    """
    files = Files(folder)
    said = {name: _said(text, folder) for name, text in asked.tables.items()}
    tables = {name: _table_file(file, where, files) for name, (file, where) in said.items()}
    of_labels, inside, label_sheets = label_file(asked.label, files)
    every = {LABELS: candidates(label_sheets, header=of_labels.header)}
    for name, (file, patterns) in tables.items():
        with _asking_for_inside(file):
            sheets = files.sheets(_options(file), values=True)
        if file.header and samples_in_columns(candidates(sheets, header=True), every[LABELS]):
            file = replace(file, transpose=True)
            sheets = files.sheets(_options(file), values=True)
        tables[name] = (replace(file, own_names=sheets[0].row_names is not None), patterns)
        every[name] = candidates(sheets, header=file.header)
    ids = identify(_as_written(every, of_labels, tables, files))
    of_labels = _with_id(of_labels, ids, LABELS)
    tables = {name: (_with_id(file, ids, name), patterns) for name, (file, patterns) in tables.items()}
    labels = LabelLook(label_sheets, of_labels, every[LABELS]).facts(inside, asked.group, asked.split, asked.event)
    return _joined(files, tables, labels, "row" if ids is None else "id")


def all_modalities(file: Path) -> list[str]:
    """The modalities that a file holds and names; empty for a file of one."""
    return modalities_of(file, str(file)) if file.suffix.lower() == ".h5mu" else []


def _said(text: str, folder: Path) -> tuple[TableFile, str | None]:
    """The file or files that a text names, and what it names inside."""
    pieces = text.split(",")
    pieces[-1], inside = _inside(pieces[-1], folder)
    if len(pieces) == 1:
        return TableFile(pieces[0]), inside
    named = dict(_split_of(piece) for piece in pieces)
    if len(named) < len(pieces) or "train" not in named or "test" not in named:
        raise UsageError(
            "which file is of which split?",
            got=text,
            expected="a file for training and one for testing, told by their names or so: train=a.csv,test=b.csv",
        )
    return TableFile({name: named[name] for name in fmt.SPLITS if name in named}), inside


def _inside(piece: str, folder: Path) -> tuple[str, str | None]:
    """A file, and what is named behind it; a colon may be part of either."""
    places = [place for place, character in enumerate(piece) if character == ":"]
    ends = [place for place in places if (folder / piece[:place].rpartition("=")[2]).is_file()]
    if (folder / piece).is_file() or not places:
        return piece, None
    end = ends[0] if ends else places[-1]
    return piece[:end], piece[end + 1 :]


def _split_of(piece: str) -> tuple[str, str]:
    """The split of a file, by ``SPLIT=`` before its name or by a part of its name, and the file."""
    before, equals, file = piece.partition("=")
    if equals and before in fmt.SPLITS:
        return before, file
    words = re.split(r"[^a-z]+", Path(piece).name.lower())
    found = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    if len(found) != 1:
        raise UsageError(
            "which split is this file of?", got=piece, expected="train=FILE, validation=FILE or test=FILE, with commas"
        )
    return found.pop(), piece


@contextmanager
def _asking_for_inside(file: TableFile) -> Iterator[None]:
    """Say how the command line names a part of a file, where a reader asks for the key of a recipe."""
    try:
        yield
    except DataError as error:
        if "`key`" in (error.do or ""):
            error.do = f"name it behind the file: {file.shown}:NAME"
        raise


def _options(file: TableFile) -> TableOptions:
    files = file.files if isinstance(file.files, str) else dict(file.files)
    said = {"files": files, "key": file.key, "header": file.header, "id": file.id, "transpose": file.transpose}
    return TableOptions.model_validate(said)


def _first(file: TableFile) -> str:
    return file.files if isinstance(file.files, str) else next(iter(file.files.values()))


def _suffix(file: TableFile) -> str:
    return Path(_first(file)).suffix.lower()


def _at_hand(file: TableFile, files: Files) -> TableFile:
    """The file with what its first line is: names of columns, or data already."""
    rows = files.first_rows(_options(file))
    return file if rows is None else replace(file, header=_is_header(*rows))


def _is_header(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether the first row of a table names the columns: some cell is no number, or they count the columns."""
    if not all(NUMBER.fullmatch(cell) for cell in first):
        return True
    counts = [[str(place + start) for place in range(len(first))] for start in (0, 1)]
    return len(first) > 1 and list(first) in counts and list(second) not in counts


def _table_file(file: TableFile, inside: str | None, files: Files) -> tuple[TableFile, tuple[str, ...]]:
    """A file of features, and the patterns of its columns."""
    file = _at_hand(file, files)
    if inside is None and len(every := all_modalities(files.folder / _first(file))) > 1:
        raise UsageError(
            "which modality of the file?", where=file.shown, got=", ".join(every), expected=f"{file.shown}:{every[0]}"
        )
    if _suffix(file) in BINARY:
        return replace(file, key=inside), ()
    return file, () if inside is None else (inside,)


def label_file(said: str, files: Files) -> tuple[TableFile, str | None, list[Sheet]]:
    """The file of labels, the column that was named, and what is in the file; in h5mu the one modality that has it."""
    file, column = _said(said, files.folder)
    file = _at_hand(file, files)
    sheets = files.sheets(_options(file), values=False)
    if _suffix(file) == ".h5mu" and column is not None and column not in sheets[0].text_names:
        for name in all_modalities(files.folder / _first(file)):
            inner = replace(file, key=f"{name}/obs")
            found = files.sheets(_options(inner), values=False)
            if column in found[0].text_names:
                file, sheets = inner, found
                break
    return replace(file, own_names=sheets[0].row_names is not None), column, sheets


def _as_written(
    every: Mapping[str, Candidates],
    labels: TableFile,
    tables: Mapping[str, tuple[TableFile, tuple[str, ...]]],
    files: Files,
) -> dict[str, Candidates]:
    """The same candidates with the cells of text files as they are written: ``007`` is not 7."""
    found = dict(every)
    for name, file in [(LABELS, labels), *((name, file) for name, (file, _) in tables.items())]:
        columns = [column for column in every[name].columns if column is not None]
        if _suffix(file) in BINARY or not columns:
            continue
        sheets = files.sheets(_options(file), columns, values=name != LABELS)
        text: dict[Column, list[str]] = {
            column: [cell for sheet in sheets for cell in sheet.text(column)] for column in columns
        }
        found[name] = replace(every[name], columns=text)
    return found


def _with_id(file: TableFile, ids: Mapping[str, str | int | None] | None, name: str) -> TableFile:
    return replace(file, id=None if ids is None else ids[name])


def _of_file(file: TableFile) -> dict[str, Any]:
    """What a file of labels has in common with one of features."""
    said = _options(file).model_dump()
    return {name: said[name] for name in FileOptions.model_fields}


def _joined(
    files: Files,
    tables: Mapping[str, tuple[TableFile, tuple[str, ...]]],
    labels: LabelFacts,
    how: Literal["id", "row"],
) -> Fingerprint:
    """The files as ``omib prepare`` will read them, looked at together."""
    import numpy as np

    columns = {"column": labels.column, "event": labels.event, "group": labels.group, "split": labels.split}
    options = LabelOptions.model_validate({**_of_file(labels.file), **columns})
    read = files.labels(options, labels.split_names)
    read.values = labels_that_are_there(read.values, read.where)
    found = {
        name: files.table(
            TableOptions.model_validate({**_options(file).model_dump(), "columns": list(patterns)}), options
        )
        for name, (file, patterns) in tables.items()
    }
    joined = join(found, read, how, "new")
    every = [labels.file, *(file for file, _ in tables.values())]
    barred = {str(column) for column in (*columns.values(), *(file.id for file in every))}
    facts = tuple(TableLook(found[name], joined, name, read, barred).facts(*tables[name]) for name in tables)
    notes = [f"{count} {why}" for why, count in joined.dropped.items() if count]
    for (name, (file, patterns)), seen in zip(tables.items(), facts, strict=True):
        if file.files == labels.file.files and _suffix(file) not in BINARY and not patterns:
            notes.append(_of_the_labels(name, file, [*found[name].columns, *seen.texts]))
    there = np.array([joined.rows[name] >= 0 for name in tables])
    return Fingerprint(
        labels=labels,
        tables=facts,
        join=how,
        samples=int(there.any(axis=0).sum()),
        complete=int(there.all(axis=0).sum()),
        notes=tuple(notes),
    )


def _of_the_labels(name: str, file: TableFile, columns: Sequence[str]) -> str:
    """What is to be said of features that stand beside the label."""
    return (
        f"{name} is the file of the labels, and all its columns are features ({listed(columns)}): if some are known "
        f"only with the label, choose with {name}={file.shown}:PATTERN"
    )
