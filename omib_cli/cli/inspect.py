"""``omib inspect``: what a file says about itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import readable, show_json, show_rows

if TYPE_CHECKING:
    from omib_cli.artifacts.provenance import Provenance

EXAMPLES = opt.examples("omib inspect model.safetensors", "omib inspect sim-i.h5 --verify --json")
_LONGEST = 160


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any file or report folder that omib wrote.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all of it and compute its content hash again.")
    ] = False,
    as_json: opt.AsJson = False,
) -> None:
    """Say what a file is: its kind, content hash, recipe, parents, and how it was made.

    Writes nothing.
    """
    from omib_cli.artifacts import catalogue

    found = catalogue.verify(file) if verify else catalogue.describe(file)
    shapes = _dataset_rows(file) if found.kind == "dataset" else {}
    if as_json:
        shown = {**asdict(found), "figures": found.notes.get("figures", {}), **shapes}
        show_json({"out": str(file), **shown, "verified": verify})
        return
    show_rows(_rows(found) | shapes | ({"verified": "the content is what was written"} if verify else {}))


def _rows(found: Provenance) -> dict[str, Any]:
    parents = {kind: value[:12] for kind, value in found.parents.items()}
    made = f"{found.created} by omib {found.omib}, Python {found.python}, on {found.device}, {found.threads} threads"
    rows = {
        "kind": f"{found.kind} (schema {found.schema})",
        "hash": found.hash,
        "recipe": f"{found.recipe.get('name', '?')} ({found.recipe_hash[:12]})",
        "seed": str(found.recipe.get("seed", "?")),
        "parents": parents or "none",
        "created": made,
        "command": found.command,
        "libraries": ", ".join(f"{name} {version}" for name, version in found.libraries.items()),
    }
    figures = {f"figures.{name}": value for name, value in found.notes.get("figures", {}).items()}
    facts = {f"facts.{name}": value for name, value in found.facts.items()}
    return {name: _short(value) for name, value in {**rows, **figures, **facts}.items()}


def _dataset_rows(path: Path) -> dict[str, Any]:
    """Sizes of the splits and the shape of one sample of each modality."""
    from omib_cli.artifacts.dataset import EVERYTHING, Dataset

    with Dataset(path, EVERYTHING) as data:
        splits = {name: len(data.rows(name)) for name in EVERYTHING}
        shapes = {name: {"kind": one.kind, "shape": list(one.shape)} for name, one in data.modalities.items()}
    return {"samples": splits, "modalities": shapes}


def _short(value: Any) -> str:
    text = readable(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."
