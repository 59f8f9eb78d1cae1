"""Any artifact by its path: what it is, whether it is intact, whether it is up to date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.checkpoint import read_header, read_tensors
from omib_cli.artifacts.embedding import embedding_digests
from omib_cli.artifacts.files import HDF5, SAFETENSORS, must_exist, signature
from omib_cli.artifacts.hashing import described
from omib_cli.artifacts.hdf5 import array_digests, open_hdf5, read_provenance
from omib_cli.artifacts.partial import sweep
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import DataError, StaleError
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job

REPORT_FILE = "report.json"
ELSEWHERE = "-o in another folder leaves it as it is"
"""Advice where something is in the way. Another name in the same folder would not do: intermediates that a command
makes first, such as warmup.safetensors, have names of their own beside its output."""


def describe(path: Path) -> Provenance:
    """The provenance of any artifact, by its content, whatever its name.

    Raises
    ------
    DataError
        Missing, damaged, or not written by omib.
    """
    must_exist(path, "file or folder")
    if path.is_dir() or path.suffix == ".json":
        return _describe_report(path)
    looks = signature(path)
    if looks == HDF5:
        with open_hdf5(path) as opened:
            return read_provenance(opened, path)
    if looks == SAFETENSORS:
        return read_header(path)
    raise DataError("not a file of omib's, or a damaged one", where=path, got=looks)


def expect(path: Path, kind: str) -> Provenance:
    """The provenance of a file that has to be of some kind.

    Raises
    ------
    DataError
        It is not there, damaged, or of another kind.
    """
    found = describe(path)
    if found.kind != kind:
        raise DataError("the wrong kind of file", where=path, got=found.kind, expected=kind, do=f"omib inspect {path}")
    return found


def verify(path: Path) -> Provenance:
    """Read the whole artifact, compute its content hash again and compare.

    Raises
    ------
    DataError
        The content is not what was written.
    """
    provenance = describe(path)
    if provenance.kind in (fmt.DATASET, fmt.INFORMATION, fmt.EMBEDDING):
        digests = embedding_digests if provenance.kind == fmt.EMBEDDING else array_digests
        with open_hdf5(path, provenance.kind) as file:
            try:
                arrays = digests(file)
            except (OSError, KeyError) as error:
                raise DataError("the file is damaged", where=path, got=error, do="make it again") from error
    elif provenance.kind in (fmt.WARMUP, fmt.MODEL):
        tensors, _ = read_tensors(path, provenance.kind)
        arrays = {name: described(value.numpy()) for name, value in tensors.items()}
    else:  # what readers of a report take its numbers from
        arrays, provenance = {}, replace(provenance, facts=_report_content(path)[1])
    expected = provenance.expected_hash(arrays)
    if expected != provenance.hash:
        raise DataError(
            "the content has changed since it was written",
            where=path,
            got=f"content hash {expected}",
            expected=provenance.hash,
            do="make it again, or copy it again from where it was whole",
        )
    return provenance


def already_done(
    out: Path,
    stage: str,
    recipe: Recipe,
    parents: Mapping[str, str],
    job: Job,
    options: Mapping[str, Any] | None = None,
) -> Provenance | None:
    """The provenance of ``out`` if it is there and up to date; None if it is to be made.

    ``options`` are choices outside the recipe, as the facts of ``out`` have them; earlier versions had none to make.

    Raises
    ------
    StaleError
        ``out`` exists but was made by another recipe or from other inputs, and ``job.fresh`` is not set.
    DataError
        ``out`` exists but is damaged, or something else altogether.
    """
    if job.fresh or not out.exists():
        return None
    try:
        found = describe(out)
    except DataError as error:
        raise DataError(
            f"{out.name} exists already, and cannot be read",
            where=out,
            got=f"{error.what}: {error.got}" if error.got else error.what,
            expected=f"a file of kind {stage}, or nothing",
            do=f"remove it; {ELSEWHERE}" if out.is_dir() else f"remove it, or --fresh to replace it; {ELSEWHERE}",
        ) from error
    wanted = options or {}
    others = {name: found.facts[name] for name, value in wanted.items() if found.facts.get(name, value) != value}
    if (
        found.kind == stage
        and found.recipe_hash == recipe.hash(stage)
        and found.parents == dict(parents)
        and not others
    ):
        sweep(out)
        return found
    raise StaleError(
        f"{out.name} exists already and was made otherwise",
        where=out,
        got="; ".join(f"{name}: {value} -> {wanted[name]}" for name, value in others.items())
        or _difference(found, stage, recipe, parents),
        do=f"--fresh replaces it; {ELSEWHERE}",
    )


def _difference(found: Provenance, stage: str, recipe: Recipe, parents: Mapping[str, str]) -> str:
    if found.kind != stage:
        return f"it is of kind {found.kind}, not {stage}"
    wanted = recipe.resolved()
    changes = []
    for section in recipe.deciding(stage):
        changes += _changed(found.recipe.get(section), wanted[section], section)
    changes += [
        f"another {kind}: {found.parents.get(kind, 'none')[:12]} -> {value[:12]}"
        for kind, value in parents.items()
        if found.parents.get(kind) != value
    ]
    changes += [f"made with a {kind}, now without" for kind in found.parents if kind not in parents]
    return "; ".join(changes) or f"by omib {found.omib}, whose recipes have other keys"


def _changed(old: Any, new: Any, path: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            change
            for key in dict.fromkeys([*old, *new])
            for change in _changed(old.get(key), new.get(key), f"{path}.{key}")
        ]
    return [] if old == new else [f"{path}: {json.dumps(old)} -> {json.dumps(new)}"]


def _describe_report(path: Path) -> Provenance:
    return _report_content(path)[0]


def _report_content(path: Path) -> tuple[Provenance, dict[str, Any]]:
    """A report's provenance, and its numbers."""
    file = path / REPORT_FILE if path.is_dir() else path
    must_exist(file, "report", do="omib evaluate EMBEDDING writes one")
    try:
        content = json.loads(file.read_text())
        return Provenance.from_json(json.dumps(content.pop("provenance")), file), content
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError("not a report of omib's", where=file, got=error) from error
