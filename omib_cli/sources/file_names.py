"""The files that a recipe names: one, several, or these for each split; patterns; what they are called on record."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed
from omib_cli.sources.rows import must_be_files_of_their_own
from omib_cli.sources.sheets import not_there

if TYPE_CHECKING:
    from omib_cli.recipe.sources.common import FileOptions

Named = tuple[Path, str]
"""A file, and what the recipe calls it."""


def files_of(folder: Path, options: FileOptions) -> list[list[Named]]:
    """The files of each split, in the order of splits; of all samples where the recipe does not tell splits apart.

    Raises
    ------
    DataError
        A file that is not there, a pattern that no file is like; several files and no `stack`; one file twice.
    """
    every: list[list[Named]] = []
    said: dict[str, Path] = {}
    for split, names in options.of_splits():
        found = [one for name in names for one in matching(folder, name)]
        if len(found) > 1 and options.stack is None:
            raise DataError(
                "several files of one table, and nothing says how they belong together",
                where=listed(names),
                got=listed(name for _, name in found),
                do="set `stack: rows` (other samples, the same columns) or `stack: columns` (the same samples, other "
                "columns), or name one of them",
            )
        for path, name in found:
            whole = f"the {split} split" if len(found) == 1 else f"{name} of the {split} split"
            _must_be_new(said, name if split is None else whole, path)
        every.append(found)
    must_be_files_of_their_own(said, "a file for each split" if len(every) > 1 else "each file once")
    return every


def _must_be_new(said: dict[str, Path], name: str, path: Path) -> None:
    if name in said:
        raise DataError("a file that is named twice", where=name, expected="each file once")
    said[name] = path


def matching(folder: Path, name: str) -> list[Named]:
    """The file of this name, or the files that a pattern is like, in the order of their names."""
    if not _is_pattern(folder, name):
        return [(path_of(folder, name), name)]
    found = _like(folder, name)
    if not found:
        beside = sorted(one.name for one in folder.iterdir())
        raise not_there("file like", name, beside, str(folder))
    return [(folder / one, one) for one in found]


def is_there(folder: Path, names: str | Sequence[str]) -> bool:
    """Whether there are files of these names, compressed or not, and for each pattern one that it is like."""
    every = [names] if isinstance(names, str) else names
    return all(
        bool(_like(folder, name)) if _is_pattern(folder, name) else _found(folder, name).is_file() for name in every
    )


def _is_pattern(folder: Path, name: str) -> bool:
    """Whether a name stands for others; a file may be called so itself."""
    return glob.has_magic(name) and not _found(folder, name).is_file()


def _like(folder: Path, pattern: str) -> list[str]:
    return sorted(one for one in glob.glob(pattern, root_dir=folder, recursive=True) if (folder / one).is_file())  # noqa: PTH207 - keeps what the pattern says of folders


def _found(folder: Path, name: str) -> Path:
    """The file, or the same one compressed, or not: published folders come either way."""
    path = folder / name
    twin = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
    return twin if twin.is_file() and not path.is_file() else path


def path_of(folder: Path, name: str) -> Path:
    """The file, which has to be there.

    Raises
    ------
    DataError
        It is not, with the nearest name.
    """
    path = _found(folder, name)
    if not path.is_file():
        beside = sorted(one.name for one in path.parent.iterdir()) if path.parent.is_dir() else []
        error = not_there("file", path.name, beside, str(path.parent))
        error.do = error.do or "name the folder of the files with --input"
        raise error
    return path


def on_record(read: Mapping[Path, str]) -> dict[Path, str]:
    """What each file is called where the machine's folders do not count: as in the recipe, if that is relative.

    Of an absolute path the last parts, as few as tell it from the other files.
    """
    names = {path: name for path, name in read.items() if not Path(name).is_absolute()}
    for path in (path for path in read if path not in names):
        ends = [Path(*path.parts[-count:]).as_posix() for count in range(1, len(path.parts))]
        others = [other.as_posix() for other in read if other != path]
        names[path] = next(
            (end for end in ends if not any(f"/{other}".endswith(f"/{end}") for other in others)), ends[-1]
        )
    return names
