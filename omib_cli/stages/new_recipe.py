"""A recipe for files that nobody has described yet: look, decide, write, and try whether the data can be prepared."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omib_cli.artifacts.files import must_exist
from omib_cli.errors import DataError, UsageError
from omib_cli.recipe.fingerprint import Fingerprint
from omib_cli.recipe.load import recipe_from_values
from omib_cli.recipe.planning import Plan, TaskName, odd_modality_names, plain_name, plan
from omib_cli.recipe.sources.registry import SOURCES
from omib_cli.recipe.writing import comment, recipe_text
from omib_cli.sources.clip_facts import MediaAsked, is_of_clips, of_clips
from omib_cli.sources.fingerprint import TablesAsked, all_modalities, of_tables

MADE = "Made by omib recipe new; omib recipe explain says what it does, omib recipe schema what else can be said."


@dataclass(frozen=True)
class Wanted:
    """What a user says of the files.

    Attributes
    ----------
    folder
        The folder that file names are relative to, or a file that holds all; None for what the files have in common.
    modalities
        ``FILE`` or ``FILE:INSIDE`` of each modality; empty where the folder or the file says it.
    label, group, split, event
        As in :class:`omib_cli.sources.fingerprint.TablesAsked`.
    task
        ``classification``, ``regression`` or ``survival``; None where the labels, or an event, say it.
    """

    folder: Path | None
    modalities: Mapping[str, str]
    label: str | None
    group: str | None
    split: str | None
    task: TaskName | None
    event: str | None = None


@dataclass(frozen=True)
class Draft:
    """A recipe with all that was found on the way to it.

    Attributes
    ----------
    folder
        What ``--input`` must be.
    warnings
        What preparing the data says about them.
    problem
        Why they cannot be prepared yet; None if they can.
    """

    text: str
    folder: Path
    found: Fingerprint
    plan: Plan
    warnings: list[str]
    problem: DataError | None


def draft(wanted: Wanted, target: Path) -> Draft:
    """Make a recipe that is to stand in a file; nothing is written.

    Raises
    ------
    UsageError
        Something is not said, and cannot be told from the files: names what there is to choose from.
    DataError, RecipeError
        Files that cannot be read, or do not fit together.
    """
    if odd := odd_modality_names(wanted.modalities):
        raise UsageError(
            "not a name for a modality", got=odd[0], expected="letters, digits, '_' and '-', such as rna or x1"
        )
    folder, found = _fingerprint(wanted)
    made = plan(found, plain_name(target.stem), wanted.task)
    recipe = recipe_from_values(made.values)
    source = SOURCES.implementation(recipe.data.source)(recipe, folder)
    problem = None
    try:
        source.plan()
    except DataError as error:
        problem = error
    top = ["# omib run " + shlex.join([str(target), "--input", str(folder)]), "#", *comment(MADE)]
    text = "\n".join(top) + "\n" + recipe_text(made.values, made.comments)
    return Draft(text, folder, found, made, list(dict.fromkeys(source.warnings)), problem)


def _fingerprint(wanted: Wanted) -> tuple[Path, Fingerprint]:
    """The folder of the files, and what is in them."""
    _must_go_together(wanted)
    folder, modalities, label = wanted.folder, dict(wanted.modalities), wanted.label
    if folder is not None:
        must_exist(folder, "file or folder")
        if folder.is_file():
            modalities, label = _of_file(folder, modalities, label)
            folder = folder.parent
    elif not modalities:
        raise UsageError(
            "a recipe for which files?",
            expected="a folder of clips, or --modality NAME=FILE for each table and --label FILE:COLUMN",
        )
    else:
        folder, modalities, label = _beside(modalities, label)
    if is_of_clips(folder, modalities):
        if wanted.event is not None:
            raise UsageError("the labels of clips are classes; survival is predicted from tables", got="--event")
        return folder, of_clips(MediaAsked(modalities, label, wanted.group, wanted.split), folder)
    if not modalities:
        there = sorted(path.name for path in folder.iterdir())
        raise UsageError(
            "which file is which modality?",
            where=folder,
            got=", ".join(there[:20]) or "an empty folder",
            expected="--modality NAME=FILE for each, and --label FILE:COLUMN",
        )
    if label is None:
        first = next(iter(modalities.values())).partition(":")[0]
        raise UsageError("where are the labels?", expected="--label FILE:COLUMN", do=f"maybe --label {first}:COLUMN")
    return folder, of_tables(TablesAsked(modalities, label, wanted.group, wanted.split, wanted.event), folder)


def _must_go_together(wanted: Wanted) -> None:
    """Refuse survival without an event, and an event in another task."""
    if wanted.task == "survival" and wanted.event is None:
        raise UsageError(
            "which column says whether the event took place?", expected="--event COLUMN, or --event COLUMN=VALUE"
        )
    if wanted.event is not None and wanted.task not in (None, "survival"):
        raise UsageError("--event is for survival", got=f"--task {wanted.task}", do="leave one of them out")


def _of_file(file: Path, modalities: dict[str, str], label: str | None) -> tuple[dict[str, str], str | None]:
    """What a single file holds: its modalities, and the label in it."""
    modalities = modalities or {name: f"{file.name}:{name}" for name in all_modalities(file)}
    if not modalities:
        raise DataError(
            "a file that does not name its modalities",
            where=file,
            expected="an h5mu file; or the folder of the files, and --modality NAME=FILE for each",
        )
    if label is not None and not (file.parent / label.partition(":")[0]).is_file():
        label = f"{file.name}:{label}"
    return modalities, label if label is not None else file.name


def _beside(modalities: dict[str, str], label: str | None) -> tuple[Path, dict[str, str], str | None]:
    """The folder that all files are in, and their names below it."""
    said = [*modalities.values(), *([] if label is None else [label])]
    paths = [piece.rpartition("=")[2] for text in said for piece in text.split(",")]
    parents = [Path(path).parent if not Path(path).is_dir() else Path(path) for path in paths]
    absolute = any(parent.is_absolute() for parent in parents)
    common = Path(os.path.commonpath([parent.absolute() if absolute else parent for parent in parents]) or ".")

    def below(text: str) -> str:
        pieces = []
        for piece in text.split(","):
            before, equals, path = piece.rpartition("=")
            pieces.append(f"{before}{equals}{os.path.relpath(path, common)}")
        return ",".join(pieces)

    return common, {name: below(text) for name, text in modalities.items()}, None if label is None else below(label)
