"""``omib recipe new``: signature, and what was found as a table."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import readable, remark, say, show_json, show_rows
from omib_cli.errors import UsageError

if TYPE_CHECKING:
    from omib_cli.recipe.fingerprint import ClipFacts, Fingerprint, LabelFacts, TableFacts
    from omib_cli.stages.new_recipe import Draft

EXAMPLES = opt.examples(
    "omib recipe new --modality rna=rna.csv --modality protein=prot.h5ad --label clinic.tsv:status -o mine.yaml",
    "omib recipe new clips/ --label labels.csv:emotion --group actor",
)
_SHOWN_CLASSES = 8
_UNEVEN = 0.6
"""A class with a larger share than this makes accuracy look better than it is."""


class PredictedAs(StrEnum):
    """What may be predicted."""

    classification = "classification"
    regression = "regression"
    survival = "survival"


def new(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[INPUT]", help="The folder of the files, or an h5mu file; else where the files are."),
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(
            "--modality",
            metavar="NAME=FILE[:INSIDE]",
            help="A table; INSIDE is an array of it, or a pattern of columns. A comma between train and test files.",
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="FILE[:COLUMN]", help="The labels, in a file of their own or not.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="COLUMN", help="Which samples belong together (patient, actor); or none."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="COLUMN", help="The column of a given split; or none.")
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            "--event",
            metavar="COLUMN[=VALUE]",
            help="For survival, where the label is a time: the column that says whether there was an event.",
        ),
    ] = None,
    task: Annotated[
        PredictedAs | None, typer.Option("--task", help="What is predicted; else as the labels are.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="PATH", help="The recipe to write; else mine.yaml.")
    ] = None,
    as_json: opt.AsJson = False,
) -> None:
    """Look at some files and write a recipe for them that runs as it is.

    Says what was found: samples, ids, missing values, classes, groups, what is suspicious. Names of files are relative
    to the current folder, or to INPUT where it is given. Nothing is overwritten. If the data cannot be prepared yet,
    the recipe is written all the same, to be changed as the message says (exit 3).
    """
    from omib_cli.stages.new_recipe import Wanted, draft

    target = out or Path("mine.yaml")
    if target.exists():
        raise UsageError("the file is there already", where=target, do="give another name with -o, or remove it")
    wanted = Wanted(folder, _named(modality or []), label, group, split, None if task is None else task.value, event)
    made = draft(wanted, target)
    opt.write_new(target, made.text)
    if as_json:
        from dataclasses import asdict

        show_json(
            {"out": str(target), "input": str(made.folder), "found": asdict(made.found), "reasons": made.plan.reasons}
        )
    else:
        _show(made, target)
    for warning in made.warnings:
        remark(f"  {warning}", "warning")
    if made.problem is not None:
        remark(f"     {target} is written, and needs a change before it runs", "note")
        raise made.problem


def _named(said: list[str]) -> dict[str, str]:
    """The file of each modality."""
    found: dict[str, str] = {}
    for one in said:
        name, equals, file = one.partition("=")
        if not (name and equals and file) or name in found:
            raise UsageError(
                "--modality names a modality and its file", got=one, expected="--modality rna=rna.csv, once each"
            )
        found[name] = file
    return found


def _show(made: Draft, target: Path) -> None:
    say("found")
    show_rows(_found(made.found), indent="  ")
    say("decided")
    show_rows(made.plan.reasons, indent="  ")
    say(f"{target}  recipe; next:")
    say(f"  omib recipe explain {shlex.quote(str(target))}")
    say(f"  omib run {shlex.join([str(target), '--input', str(made.folder), '--out', target.stem])}")


def _found(found: Fingerprint) -> dict[str, str]:
    """The fingerprint in words, by what it is of."""
    rows = {table.name: _table(table) for table in found.tables}
    if found.clips is not None:
        rows["clips"] = _clips(found.clips)
    rows["labels"] = _labels(found.labels)
    how = {"id": "matched by id", "row": "matched by row"}[found.join]
    rows["samples"] = f"{found.samples:,} with a label, {how}; {found.complete:,} with all modalities"
    if found.notes:
        rows["note"] = "; ".join(found.notes)
    return rows


def _table(table: TableFacts) -> str:
    parts = [
        f"{table.file.shown}: {table.samples:,} rows, {table.width:,} columns ({table.kind})",
        _ids(table.file.id, own=table.file.own_names),
        f"values {table.low:.4g} to {table.high:.4g}",
    ]
    parts[0] += "; its samples stand in columns" if table.file.transpose else ""
    parts += [f"{table.missing:.2%} missing"] if table.missing else []
    parts += [f"{table.constant:,} constant columns"] if table.constant else []
    parts += [f"{table.matched:,} rows have a label"] if table.matched < table.samples else []
    return "; ".join([*parts, *table.notes])


def _ids(column: str | int | None, *, own: bool) -> str:
    if column is None:
        return "ids: its row names" if own else "no ids"
    return f"ids: column {column!r}"


def _labels(labels: LabelFacts) -> str:
    kind = {"names": "names", "whole": "whole numbers", "fractions": "numbers"}[labels.kind]
    parts = [f"{labels.file.shown}, column {labels.column!r}: {labels.distinct:,} different {kind}"]
    if labels.kind != "names" and labels.distinct > _SHOWN_CLASSES:
        parts.append(f"mean {labels.mean:.4g}, deviation {labels.deviation:.4g}")
    elif labels.classes:
        first = list(labels.classes.items())[:_SHOWN_CLASSES]
        more = ", ..." if len(labels.classes) > _SHOWN_CLASSES else ""
        parts.append(", ".join(f"{name} {readable(count)}" for name, count in first) + more)
        share = first[0][1] / max(1, labels.count)
        parts += [f"always saying {first[0][0]} is right in {share:.0%}"] if share > _UNEVEN else []
    if labels.event is not None:
        meaning = "" if labels.event_value is None else f" ({labels.event_value})"
        parts.append(f"times of {labels.events:,} events in {labels.event!r}{meaning}")
    parts += [f"{labels.unlabelled:,} rows without one"] if labels.unlabelled else []
    parts += [f"{labels.groups:,} groups in {labels.group!r}"] if labels.group else []
    parts += [f"a split in {labels.split!r}"] if labels.split else []
    return "; ".join(parts)


def _clips(clips: ClipFacts) -> str:
    found = ", ".join(f"{count:,} with {name}" for name, count in clips.found.items())
    said = "; ".join(clips.patterns.values()) or f"names as in {clips.names or clips.source}"
    return f"{clips.clips:,} clips, {found}; {said}"
