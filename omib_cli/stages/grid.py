"""A grid of runs: recipes, variants of them and seeds; each cell is ``omib run`` in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omib_cli.artifacts.record import RunRecord
from omib_cli.errors import Interrupted, UsageError
from omib_cli.recipe.fusion import FUSIONS
from omib_cli.recipe.load import load_recipe
from omib_cli.recipe.problems import did_you_mean
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.simulation import SimulationOptions
from omib_cli.recipe.yaml_reader import read_yaml
from omib_cli.runtime.job import Job
from omib_cli.stages.run import EMBEDDING
from omib_cli.stages.source_files import read_input_key

SHARED = "shared"
"""The folder, inside the grid's, of datasets and estimates that several cells use."""
LOG = "run.log"
POLL_SECONDS = 0.2

AS_IS = "recipe"
"""The variant of a sweep that is the recipe without any change."""

ABLATIONS = ("without-warmup", "without-attention", "without-omf", "without-r")
"""Of OMIB (choice C7)."""


@dataclass(frozen=True)
class Variant:
    """A recipe with some keys replaced, under a name that is also that of a folder; ``at`` is its place in a sweep."""

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None


@dataclass(frozen=True, eq=False)
class Cell:
    """One run of the grid.

    Attributes
    ----------
    reference
        The recipe's bundled name or file.
    recipe
        What it comes to.
    """

    reference: str
    variant: Variant
    seed: int
    recipe: Recipe
    overrides: tuple[str, ...]
    folder: Path

    @property
    def name(self) -> str:
        """For the terminal."""
        return f"{self.recipe.name} {self.variant.name} seed {self.seed}"

    @property
    def embedding(self) -> Path:
        """What its predictions are read from."""
        return self.folder / EMBEDDING

    @property
    def record(self) -> RunRecord:
        """How it went so far."""
        return RunRecord.of(self.folder, self.recipe.hash())


@dataclass(frozen=True)
class Launch:
    """How cells are started: the input of their recipes, the device, the threads and the bytes for samples of each."""

    out: Path
    input_path: Path | None = None
    device: str = "auto"
    threads: int = 1
    memory: int | None = None
    _input_keys: dict[str, str] = field(default_factory=dict, compare=False)

    def is_done(self, cell: Cell) -> bool:
        """Whether a cell has run to its end, on this input: at the same path, with the same content.

        Raises
        ------
        RecipeError, DataError
            It has, and the input cannot be read, so that nobody can say.
        """
        record = cell.record
        if record.state != "done" or isinstance(cell.recipe.data, SimulationOptions):
            return record.state == "done"
        read = json.dumps([cell.recipe.resolved()["data"], list(cell.recipe.modalities), cell.recipe.task.kind])
        if read not in self._input_keys:  # files are many and large, and most cells have them in common
            self._input_keys[read] = read_input_key(cell.recipe, self.input_path)
        return record.input == self._input_keys[read]

    def words(self, cell: Cell) -> list[str]:
        """The command line of a cell, after the name of the program."""
        words = ["run", cell.reference, "--seed", str(cell.seed), "--out", str(cell.folder)]
        words += ["--shared", str(self.out / SHARED), "--threads", str(self.threads), "--device", self.device]
        words += ["--input", str(self.input_path)] if self.input_path is not None else []
        words += ["--memory", f"{self.memory // 2**20}M"] if self.memory is not None else []
        for override in cell.overrides:
            words += ["--set", override]
        return [*words, "--quiet"]


def ablation(name: str, recipe: Recipe) -> Variant:
    """A recipe of OMIB without one of its components; without warm-up the epochs are as many as before."""
    changes: dict[str, dict[str, Any]] = {
        "without-warmup": {"warmup.epochs": 0, "train.epochs": recipe.warmup.epochs + recipe.train.epochs},
        "without-attention": {"fusion.attention": "none"},
        "without-omf": {"fusion.main_training": "without-omf"},
        "without-r": {"fusion.relative_weight": "one"},
    }
    return Variant(name, changes[name])


def method(name: str, recipe: Recipe) -> Variant:
    """A recipe with another fusion method in its default settings; with its own one, the recipe as it is."""
    return Variant(name) if name == recipe.fusion.method else Variant(name, {"fusion": {"method": name}})


def known(names: Iterable[str], choices: Sequence[str], what: str) -> list[str]:
    """The names, ``all`` spelled out, none twice.

    Raises
    ------
    UsageError
        One that is no choice.
    """
    found: dict[str, None] = {}
    for name in names:
        if name != "all" and name not in choices:
            raise UsageError(f"no such {what}: {name}{did_you_mean(name, choices)}", expected=", ".join(choices))
        found |= dict.fromkeys(choices if name == "all" else [name])
    return list(found)


def methods_and_ablations(recipe: Recipe, methods: Sequence[str], ablations: Sequence[str]) -> list[Variant]:
    """The variants of a comparison.

    Raises
    ------
    UsageError
        An unknown name, or ablations of a recipe of another method than OMIB.
    """
    chosen = [method(name, recipe) for name in known(methods, list(FUSIONS), "fusion method")]
    names = known(ablations, ABLATIONS, "ablation")
    if names and recipe.fusion.method != "omib":
        raise UsageError(
            f"recipe {recipe.name} has no ablations", got=f"fusion.method {recipe.fusion.method}", expected="omib"
        )
    return chosen + [ablation(name, recipe) for name in names]


def swept(beta: str | None, vary: str | None) -> list[Variant]:
    """The recipe as it is, and the variants of a sweep: ``LOW:HIGH:N`` for beta, or ``KEY=VALUES``.

    Raises
    ------
    UsageError
        Neither or both, or values that cannot be read.
    """
    if (beta is None) == (vary is None):
        raise UsageError("what is to be swept?", expected="--beta LOW:HIGH:N, or --vary KEY=VALUES")
    if beta is not None:
        return _variants("beta", geometric(beta), lambda value: {"beta": {"policy": "value", "value": value}})
    key, equals, text = (part.strip() for part in (vary or "").partition("="))
    if not equals or not key or not text:
        raise UsageError(f"--vary {vary} cannot be read", expected="KEY=LOW:HIGH:N or KEY=A,B,C")
    is_range = text.count(":") == 2 and not set(text) & set(" ,[]{}\"'")
    return _variants(key, geometric(text) if is_range else _listed(text), lambda value: {key: value})


def _listed(text: str) -> list[Any]:
    """``A,B,C`` as YAML has it, so that A may be a list, a section, or text in quotes.

    Raises
    ------
    UsageError
        It cannot be read.
    """
    document = read_yaml(f"[{text}]")
    if document.problems or not isinstance(document.values, list) or not document.values:
        problem = document.problems[0][1] if document.problems else None
        raise UsageError(f"the values {text} cannot be read", got=problem, expected="A,B,C, each as in a recipe")
    return document.values


def _variants(key: str, values: Iterable[Any], overrides: Callable[[Any], Mapping[str, Any]]) -> list[Variant]:
    """The recipe as it is and one variant for each value, called after the key and the value.

    Raises
    ------
    UsageError
        A value that is there twice.
    """
    found = {}
    for value in map(_whole, values):
        text = json.dumps(value, sort_keys=True)
        if text in found:
            raise UsageError(f"{key} = {text} is there twice", do="give each value once; a range, fewer of them")
        found[text] = Variant(f"{key}-{_in_a_name(value, text)}", overrides(value), _number(value))
    return [Variant(AS_IS), *found.values()]


def _whole(value: Any) -> Any:
    """Whole numbers as such however they are written, as recipes take them: 1.0 is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _in_a_name(value: Any, text: str) -> str:
    """A value, and its JSON, as part of a folder's name: the same whatever other values there are, and no other's.

    Plain words and numbers stand for themselves; of anything else the name has what can be read, and a hash.
    """
    word = value if isinstance(value, str) else text
    if re.fullmatch(r"[a-z0-9._+-]{1,40}", word) and read_yaml(word).values == value:
        return word
    readable = re.sub(r"[^A-Za-z0-9._+-]+", "-", word).strip("-.")[:24]
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{readable}-{digest}" if readable else digest


def geometric(text: str) -> list[float]:
    """``LOW:HIGH:N`` as N values in equal ratios, to six digits.

    Raises
    ------
    UsageError
        It is not of that form.
    """
    try:
        low, high, count = text.split(":")
        first, last, number = float(low), float(high), int(count)
    except ValueError:
        first, last, number = 0.0, 0.0, 0
    if not 0.0 < first < last or number < 2:
        raise UsageError(
            f"{text} is no range", expected="LOW:HIGH:N with 0 < LOW < HIGH and N of 2 or more: 1e-6:10:13"
        )
    return [float(f"{first * (last / first) ** (place / (number - 1)):.6g}") for place in range(number)]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def cells_of(
    reference: str,
    variants: Iterable[Variant],
    seeds: Iterable[int],
    out: Path,
    overrides: Sequence[str] = (),
) -> list[Cell]:
    """Every cell of a recipe, checked before the first one runs; seeds outermost, so that all variants come early.

    Raises
    ------
    RecipeError
        A variant that is no valid recipe.
    """
    variants = list(variants)
    found = []
    for seed in seeds:
        for variant in variants:
            own = (*overrides, *(f"{key}={json.dumps(value)}" for key, value in variant.overrides.items()))
            recipe = load_recipe(reference, own, seed)
            folder = out / recipe.name / variant.name / f"seed-{seed}"
            found.append(Cell(reference, variant, seed, recipe, own, folder))
    return found


def must_be_apart(cells: Sequence[Cell]) -> None:
    """Refuse two cells in one folder: each would replace what the other has made.

    Raises
    ------
    UsageError
        Two recipes of the same name, or one that is given twice.
    """
    first: dict[Path, Cell] = {}
    for cell in cells:
        if (other := first.get(cell.folder)) is not None:
            raise UsageError(
                "two runs of the grid would share a folder",
                where=cell.folder,
                got=f"recipe {cell.recipe.name}, {cell.variant.name}, of {other.reference} and of {cell.reference}",
                do="give each recipe once, and each recipe file a `name` of its own",
            )
        first[cell.folder] = cell


def run_cells(cells: Sequence[Cell], launch: Launch, jobs: int, job: Job) -> None:
    """Run the cells that are not done, ``jobs`` at a time; one that fails leaves the others alone.

    Raises
    ------
    RecipeError, DataError
        A cell was done before, and whether on this input cannot be said, as the input cannot be read.
    Interrupted
        A stop was asked for; the cells at work have saved their state.
    """
    waiting = [cell for cell in cells if not launch.is_done(cell)]
    job.progress.begin("grid", len(cells), "runs", done=len(cells) - len(waiting))
    working: list[tuple[Cell, subprocess.Popen[bytes]]] = []
    asked = False
    try:
        while working or (waiting and job.stop.reason is None):
            while waiting and len(working) < jobs and job.stop.reason is None:
                working.append(_start(waiting.pop(0), launch))
            if job.stop.reason is not None and not asked:  # once: a second signal may find no handler any more
                asked = True
                _stop(working)
            for cell, process in [each for each in working if each[1].poll() is not None]:
                working.remove((cell, process))
                _finish(cell, process.returncode, job)
            time.sleep(POLL_SECONDS)
    finally:
        _stop(working)
        for _, process in working:
            process.wait()
    if job.stop.reason is not None:
        raise Interrupted(
            f"stopped ({job.stop.reason}); finished runs are kept, the others continue where they were",
            where=launch.out,
            do="run the same command again",
        )
    job.progress.end()


def _start(cell: Cell, launch: Launch) -> tuple[Cell, subprocess.Popen[bytes]]:
    before = cell.record
    record = RunRecord(before.recipe_hash) if before.state == "done" else before  # done with another input
    record.add("new", 0.0, 0.0).write(cell.folder)
    with (cell.folder / LOG).open("ab") as log:
        command = [sys.executable, "-m", "omib_cli", *launch.words(cell)]
        return cell, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)


def _finish(cell: Cell, code: int, job: Job) -> None:
    """Note how a run ended; one that was killed could not say so itself."""
    record = cell.record
    if code and record.state == "new" and job.stop.reason is not None:
        record.add("stopped", 0.0, 0.0, job.stop.reason).write(cell.folder)
    elif code < 0 or (code and record.state == "new"):
        reason = f"killed by signal {-code}" if code < 0 else f"exit code {code}, see {LOG}"
        record.add("failed", 0.0, 0.0, reason).write(cell.folder)
    if record.state == "done":
        job.progress.note(f"{cell.name}: {record.seconds:.0f} s, {record.peak_mib:,.0f} MiB")
    elif record.state == "failed":
        job.progress.warn(f"{cell.name} failed: {record.reason}")
    job.progress.advance(1)


def _stop(working: Sequence[tuple[Cell, subprocess.Popen[bytes]]]) -> None:
    for _, process in working:
        if process.poll() is None:
            process.terminate()
