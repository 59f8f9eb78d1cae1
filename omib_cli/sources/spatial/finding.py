"""Sections of tissue that no recipe names, found where the recipe's file names say that sections lie."""

from __future__ import annotations

import re
from pathlib import Path

from omib_cli.errors import DataError, listed
from omib_cli.recipe.sources.spatial import (
    H5adOptions,
    Layout,
    LegacyOptions,
    SectionOptions,
    SpaceRangerOptions,
    SpatialOptions,
)

SECTION = "{section}"
MATRICES = ("filtered_feature_bc_matrix*", "raw_feature_bc_matrix*")
"""What a folder of Space Ranger holds."""


def found_sections(options: SpatialOptions, input_path: Path) -> tuple[Path, dict[str, SectionOptions]]:
    """The folder of new samples and the sections in it, by name; those that the recipe names keep their options.

    An h5ad file alone, and the output folder of Space Ranger alone, are one section.

    Raises
    ------
    DataError
        There is no section.
    """
    layouts = {str(one): one for one in (options.files, *(own.files for own in options.sections.values())) if one}
    of_h5ad = [one for one in layouts.values() if isinstance(one, H5adOptions)]
    if input_path.is_file() and of_h5ad:
        alone = SectionOptions(split="test", files=of_h5ad[0].model_copy(update={"file": input_path.name}))
        return input_path.parent, {input_path.name.partition(".")[0]: alone}
    if not input_path.is_dir():
        raise DataError("not a folder", where=input_path, expected="the folder of the sections")
    found: dict[str, SectionOptions] = {}
    for layout in layouts.values():
        for name in _named(layout, input_path):
            found.setdefault(name, options.sections.get(name) or SectionOptions(split="test", files=layout))
    for name, one in options.sections.items():  # where the name is no part of the file's
        if name not in found and (input_path / _place(one.files or options.files).replace(SECTION, name)).exists():
            found[name] = one
    if not found and any(isinstance(one, SpaceRangerOptions) for one in layouts.values()) and _is_output(input_path):
        found[_name_of(input_path)] = SectionOptions(split="test", files=SpaceRangerOptions(folder="."))
    if not found:
        places = [_place(one) for one in layouts.values()]
        raise DataError(
            "no section of tissue is here",
            where=input_path,
            got=listed(sorted(one.name for one in input_path.iterdir())) or "an empty folder",
            expected=f"sections as {listed(places)}",
            do="say where they lie: --set data.files=…, or --recipe with a `data` section of their own",
        )
    return input_path, dict(sorted(found.items()))


def _place(layout: Layout) -> str:
    """The name of a section's main file, or of its folder."""
    if isinstance(layout, SpaceRangerOptions):
        return layout.folder
    return layout.counts if isinstance(layout, LegacyOptions) else layout.file


def _named(layout: Layout, folder: Path) -> list[str]:
    """The sections that lie as a layout says, compressed or not."""
    place = _place(layout)
    if SECTION not in place:
        return []
    bare = place.removesuffix(".gz")
    first, *rest = (re.escape(part) for part in bare.split(SECTION))
    pattern = re.compile(first + "(?P<section>[^/]+?)" + "(?P=section)".join(["", *rest])[len("(?P=section)") :])
    found = []
    for end in ("", ".gz"):
        for path in folder.glob(bare.replace(SECTION, "*") + end):
            match = pattern.fullmatch(path.relative_to(folder).as_posix().removesuffix(".gz"))
            if match and (path.is_file() or not isinstance(layout, SpaceRangerOptions) or _is_output(path)):
                found.append(match["section"])
    return found


def _is_output(folder: Path) -> bool:
    """Whether a folder is one of Space Ranger."""
    return folder.is_dir() and ((folder / "spatial").is_dir() or any(any(folder.glob(name)) for name in MATRICES))


def _name_of(folder: Path) -> str:
    """What a folder is called; of ``outs``, which all are, its parent."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "outs" else folder.name
