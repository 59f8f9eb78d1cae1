"""Recipes and studies by name or path: read, overridden, checked; every problem at once, with its line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from omib_cli.errors import RecipeError, UsageError
from omib_cli.recipe.encoders import ModalityOptions
from omib_cli.recipe.options import Options
from omib_cli.recipe.problems import Found, did_you_mean, problems_of
from omib_cli.recipe.schema import Recipe, recipe_model
from omib_cli.recipe.space import space_problems
from omib_cli.recipe.study import Study
from omib_cli.recipe.yaml_reader import KeyPath, dotted, read_yaml

Valid = TypeVar("Valid", bound=Options)

SUFFIXES = (".yaml", ".yml")
_METHOD = ("fusion", "method")
_LAST = 1_000_000
"""Where problems without a line come among the others."""


def load_recipe(reference: str | Path, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    reference
        Name of a bundled recipe, or the path of a YAML file.
    overrides
        ``KEY=VALUE`` settings that replace or add keys: ``train.epochs=5``. Another ``fusion.method`` comes with its
        own defaults: what the recipe says of the method before is forgotten.
    seed
        Replaces the recipe's seed.

    Raises
    ------
    UsageError
        There is no such recipe.
    RecipeError
        It cannot be used; holds every problem found.
    """
    path = recipe_path(reference)
    return _checked(_read_draft(path), overrides, seed)


def recipe_from_values(values: dict[str, Any], overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """Check the recipe that an artifact carries, with overrides.

    Raises
    ------
    RecipeError
        As :func:`load_recipe`; problems have no line.
    """
    return _checked(_Draft("that the file carries", json.loads(json.dumps(values))), overrides, seed)


def load_study(reference: str) -> Study | None:
    """Read and check a study; None if this is a recipe, or nothing at all.

    Raises
    ------
    RecipeError
        A study that cannot be used; holds every problem found.
    """
    path = studies().get(reference, Path(reference))
    if not path.is_file():
        return None
    draft = _read_draft(path)
    return _validated(draft, Study, draft.values) if "study" in draft.values else None


def bundled() -> dict[str, Path]:
    """The recipes that come with omib, by name."""
    return _yaml_files(_bundled_folder())


def studies() -> dict[str, Path]:
    """The studies that come with omib, by name."""
    return _yaml_files(_bundled_folder() / "studies")


def bundled_text(name: str) -> str:
    """The text of a bundled recipe or study.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    known = bundled() | studies()
    if name not in known:
        raise _unknown(name)
    return known[name].read_text(encoding="utf-8")


def recipe_or_study_text(reference: str) -> str:
    """The text of a recipe or a study, given its bundled name or its path.

    Raises
    ------
    UsageError
        There is none.
    RecipeError
        The file is no UTF-8 text.
    """
    if reference in bundled() | studies():
        return bundled_text(reference)
    return _read_text(recipe_path(reference))


def recipe_path(reference: str | Path) -> Path:
    """The file of a recipe, given its bundled name or its path.

    Raises
    ------
    UsageError
        There is none.
    """
    found = bundled().get(str(reference))
    if found is not None:
        return found
    path = Path(reference)
    if path.is_file():
        return path
    if path.is_dir():
        raise UsageError(f"{path} is a folder", expected="a recipe: a YAML file, or a name from omib recipe list")
    raise _unknown(str(reference))


def _unknown(reference: str) -> UsageError:
    if reference in studies():
        return UsageError(
            f"{reference} is a study, of several runs", do=f"omib recipe show {reference} says what runs it"
        )
    is_path = reference.endswith(SUFFIXES) or "/" in reference
    known = bundled()
    guess = did_you_mean(reference, known)
    return UsageError(
        f"no such recipe{' file' if is_path else ''}: {reference}{guess}",
        expected="a YAML file, or one of " + ", ".join(known),
        do="omib recipe list says what each is for",
    )


def _yaml_files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _bundled_folder() -> Path:
    """Inside the package where it is installed; beside it in a checkout."""
    package = Path(str(files("omib_cli")))
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


@dataclass
class _Draft:
    """A recipe's values on their way to being checked, and where each came from.

    Attributes
    ----------
    source
        The recipe's file, for messages.
    lines
        Line of each key; empty where the values come from an artifact.
    given
        Keys that an option set, and the option: they have no line.
    problems
        What is wrong so far: (order, text).
    """

    source: str
    values: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    given: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def report(self, found: Found) -> None:
        """Add a problem, at the line of its key, or else of the section that should hold it."""
        for depth in range(len(found.path), -1, -1):
            place = found.path[:depth]
            if place in self.given:
                self.problems.append((_LAST, f"{self.given[place]}: {found}"))
                return
            if place in self.lines:
                self.problems.append((self.lines[place], f"{self.source}:{self.lines[place]}: {found}"))
                return
        self.problems.append((0, str(found)))

    def must_be_sound(self) -> None:
        """Raise all problems so far, in the order of their lines, if there are any."""
        if self.problems:
            raise RecipeError(self.source, [text for _, text in sorted(self.problems, key=lambda problem: problem[0])])

    def put(self, path: KeyPath, value: Any, option: str) -> None:
        """Set a key, making the sections above it."""
        section = self.values
        for depth, key in enumerate(path[:-1], 1):
            if section.get(str(key)) is None:
                section[str(key)] = {}
                self.given[path[:depth]] = option
            below = section[str(key)]
            if not isinstance(below, dict):
                self.problems.append(
                    (_LAST, f"{option}: {dotted(path)}: {dotted(path[:depth])} has no keys of its own")
                )
                return
            section = below
        section[str(path[-1])] = value
        self.lines = {key: line for key, line in self.lines.items() if key[: len(path)] != path}
        self.given[path] = option


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = f"{path}:{line}: byte 0x{error.object[error.start]:02x} is no UTF-8 text; save the file as UTF-8"
        raise RecipeError(str(path), [problem]) from error


def _read_draft(path: Path) -> _Draft:
    document = read_yaml(_read_text(path))
    problems = [(line, f"{path}:{line}: {problem}") for line, problem in document.problems]
    if isinstance(document.values, dict):
        return _Draft(str(path), document.values, document.lines, problems=problems)
    if not problems:
        is_empty = document.values is None
        got = "the file is empty" if is_empty else f"got a {type(document.values).__name__} at the top"
        problems = [(1, f"{path}:1: {got}, expected keys and values: `name: ...`")]
    raise RecipeError(str(path), [message for _, message in problems])


def _checked(draft: _Draft, overrides: Sequence[str], seed: int | None) -> Recipe:
    for override in sorted(overrides, key=lambda override: override.partition("=")[0].strip() != dotted(_METHOD)):
        _apply(draft, override)
    if seed is not None:
        draft.put(("seed",), seed, "--seed")
    return _validated(draft, recipe_model(), _named(draft.values))


def load_tunable(reference: str | Path, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """Read and check a recipe as :func:`load_recipe` does, and that it takes every value of its `tune` section.

    Only here: a recipe whose fusion method was replaced has none of the keys of the one before.
    """
    draft = _read_draft(recipe_path(reference))
    recipe = _checked(draft, overrides, seed)
    for found in space_problems(recipe, partial(_refused, recipe.resolved())):
        draft.report(found)
    draft.must_be_sound()
    return recipe


def _refused(values: dict[str, Any], changes: Mapping[str, Any]) -> str | None:
    """What is wrong with a recipe if these keys had these values; None where it is valid."""
    draft = _Draft("", json.loads(json.dumps({**values, "tune": {}})))
    for key, value in changes.items():
        _apply(draft, f"{key}={json.dumps(value)}")
    try:
        _validated(draft, recipe_model(), draft.values)
    except RecipeError as error:
        return "; ".join(problem.removeprefix("--set: ") for problem in error.problems)
    return None


def _validated(draft: _Draft, model: type[Valid], values: dict[str, Any]) -> Valid:
    try:
        checked = model.model_validate_json(json.dumps(_plain(values)), strict=True)
    except ValidationError as error:
        for found in problems_of(error, model):
            draft.report(found)
    draft.must_be_sound()
    return checked


def _apply(draft: _Draft, override: str) -> None:
    """Set one ``KEY=VALUE``; the value is YAML."""
    key, equals, text = override.partition("=")
    path: KeyPath = tuple(key.strip().split("."))
    if not equals or "" in path:
        draft.problems.append((_LAST, f"--set: got {override!r}, expected KEY=VALUE, such as train.epochs=5"))
        return
    document = read_yaml(text)
    if document.problems:
        draft.problems.append((_LAST, f"--set: {dotted(path)}: {document.problems[0][1]}"))
        return
    if path == _METHOD:
        _forget_other_method(draft, document.values)
    draft.put(path, document.values, "--set")


def _forget_other_method(draft: _Draft, method: object) -> None:
    """Empty the section of a fusion method that is about to be replaced: its options are not another's."""
    section = draft.values.get(_METHOD[0])
    if isinstance(section, dict) and section.get("method", Recipe.model_fields["fusion"].default.method) != method:
        section.clear()


def _named(values: dict[str, Any]) -> dict[str, Any]:
    """Write the default's name into sections that leave it out: ``fusion: {latent: 64}`` is omib's."""
    filled = {**values}
    for section in ("task", "fusion"):
        if section in values:
            filled[section] = _with_name(values[section], Recipe.model_fields[section].default)
    if isinstance(modalities := values.get("modalities"), dict):
        encoder = ModalityOptions.model_fields["encoder"].default
        filled["modalities"] = {
            name: {**options, "encoder": _with_name(options["encoder"], encoder)}
            if isinstance(options, dict) and "encoder" in options
            else options
            for name, options in modalities.items()
        }
    return filled


def _with_name(section: Any, default: Options) -> Any:
    key = "method" if hasattr(default, "method") else "kind"
    return {key: getattr(default, key), **section} if isinstance(section, dict) else section


def _plain(value: Any) -> Any:
    """Whole numbers as such however they are written: ``1e5`` samples are 100,000."""
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(below) for below in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value
